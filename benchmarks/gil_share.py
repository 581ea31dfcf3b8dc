"""How much of a process's work is done under its interpreter's lock (GIL), seen from outside by py-spy.

Two samplers look at the process a hundred times a second: one counts its threads that are at work, the other those of
them that hold the lock. The second by the first is the share of the process's processor seconds for which no other of
its threads could run Python. On a busy machine a thread waits for a core in both counts alike, so that the share, and
the seconds made of it, say little of what else runs. The samplers read the process's memory and do not stop it.
"""

from __future__ import annotations

import signal
import subprocess
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Self

RATE = 100
"""Looks per second."""
START_SECONDS = 3.0
"""In which py-spy has found the interpreter."""
END_SECONDS = 60.0
LONGEST_SECONDS = 3600


class GilSampler:
    """Looks from entry to exit."""

    def __init__(self, pid: int, folder: Path) -> None:
        """`folder`: for py-spy's files."""
        self._pid = pid
        self._counts = {"--gil": folder / "holding", "": folder / "working"}
        self._samplers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for flag, counts in self._counts.items():
            program = Path(sysconfig.get_path("scripts"), "py-spy")
            command: list[str | Path] = [
                program,
                "record",
                "--nonblocking",
                "--rate",
                str(RATE),
                "--format",
                "raw",
                "--pid",
            ]
            command += [str(self._pid), "--duration", str(LONGEST_SECONDS), "--output", counts, *filter(None, [flag])]
            quiet = subprocess.DEVNULL
            self._samplers.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
        time.sleep(START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for sampler in self._samplers:
            sampler.send_signal(signal.SIGINT)
        for sampler in self._samplers:
            try:
                sampler.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                sampler.kill()
                sampler.wait()

    @property
    def share(self) -> float | None:
        """From 0 to 1, once it has ended; None where py-spy may not look, or saw nothing."""
        holding, working = (_samples(counts) for counts in self._counts.values())
        return min(1.0, holding / working) if working else None


def _samples(counts: Path) -> int:
    """Of all stacks: a line has one, and how often it was seen."""
    return sum(int(line.rpartition(" ")[2]) for line in counts.read_text().splitlines()) if counts.exists() else 0
