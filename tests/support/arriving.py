"""Content that comes part by part, when a test lets it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from gpu_job.fetch.arrival import PART_BYTES
from tests.support.waiting import PATIENCE


class GatedContent:
    """A file's bytes; while it is closed, those who ask for a part wait, or those only who ask for a `held` one."""

    def __init__(self, data: bytes, held: Collection[int] | None = None) -> None:
        self.data = data
        self.requested: list[int] = []
        """Parts, in the order in which they were asked for."""
        self._held = held
        self._opened = threading.Event()
        self._opened.set()
        self._asked = threading.Condition()

    def read(self, start: int, end: int) -> bytes:
        """The bytes [start, end)."""
        part = start // PART_BYTES
        with self._asked:
            self.requested.append(part)
            self._asked.notify_all()
        if self._held is None or part in self._held:
            self._opened.wait()
        return self.data[start:end]

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Until it is opened, or left."""
        self._opened.clear()
        try:
            yield
        finally:
            self._opened.set()

    def open(self) -> None:
        """Let everything pass."""
        self._opened.set()

    def wait_for_requests(self, count: int) -> None:
        """Until so many parts were asked for."""
        with self._asked:
            assert self._asked.wait_for(lambda: len(self.requested) >= count, PATIENCE)
