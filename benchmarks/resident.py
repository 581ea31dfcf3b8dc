"""Peak memory of a process and everything it started, sampled from /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

SAMPLE_SECONDS = 0.1


class PeakMemory:
    """A context manager; afterwards `megabytes` is the largest sum of RSS that was seen.

    `pid` says which process to look at; it is asked anew each time, so that it need not run yet.
    """

    def __init__(self, pid: Callable[[], int | None]) -> None:
        self.megabytes = 0.0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            if (pid := self._pid()) is not None:
                self.megabytes = max(self.megabytes, family_megabytes(pid))


def family_megabytes(pid: int) -> float:
    """RSS in MB (2**20 bytes) of a process and its descendants; what has ended counts nothing."""
    pages, waiting = 0, [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            pages += int((folder / "statm").read_text().split()[1])
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
