"""Something to be done again and again beside the work: a thread that lives while it is entered."""

from __future__ import annotations

import threading
from typing import Self

from shared.errors import best_effort


class PeriodicTask:
    """Calls `tick` every so many seconds between entering and leaving; leaving waits for one that has begun."""

    def __init__(self, name: str, every_seconds: float) -> None:
        self._every_seconds = every_seconds
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def tick(self) -> None:
        """What is to be done. An exception is logged, and the next tick comes all the same."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._left.wait(self._every_seconds):
            with best_effort(f"{self._thread.name} failed"):
                self.tick()
