"""What every server of the laptop cloud can do: start, stop, and serve while a block runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Server(ABC):
    """Runs from `start()` to `stop()`, or inside a `with` block; usable once."""

    @abstractmethod
    def start(self) -> None:
        """Serve from now on."""

    @abstractmethod
    def stop(self) -> None:
        """Serve nothing more; idempotent."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
