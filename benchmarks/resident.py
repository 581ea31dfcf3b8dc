"""Peak memory of a process and everything it started, sampled from /proc."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from gpu_job.periodic import PeriodicTask

SAMPLE_SECONDS = 0.1


class PeakMemory(PeriodicTask):
    """A context manager; afterwards `megabytes` is the largest sum of RSS that was seen.

    `pid` says which process to look at; it is asked anew each time, so that it need not run yet.
    """

    def __init__(self, pid: Callable[[], int | None]) -> None:
        super().__init__("peak-memory", SAMPLE_SECONDS)
        self.megabytes = 0.0
        self._pid = pid

    def tick(self) -> None:
        """Look once."""
        if (pid := self._pid()) is not None:
            self.megabytes = max(self.megabytes, family_megabytes(pid))


def megabytes(field: str, pid: int | str = "self") -> float:
    """VmRSS (now) or VmHWM (the peak; unlike getrusage's, it knows nothing of the process's parent), on Linux."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024


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
