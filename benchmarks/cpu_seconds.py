"""Processor time of processes, which other work on the machine changes little: from /proc, on Linux."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CpuSeconds:
    """User and system time of a process, and of those that it started and that have ended."""

    own: float
    children: float

    def __sub__(self, before: CpuSeconds) -> CpuSeconds:
        return CpuSeconds(self.own - before.own, self.children - before.children)


def cpu_seconds(pid: int) -> CpuSeconds:
    """Of a process that runs."""
    # Behind the name, which may hold anything: fields 14 to 17 of proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
    ticks = os.sysconf("SC_CLK_TCK")
    return CpuSeconds(own / ticks, children / ticks)


def cpu_seconds_of_living_children(pid: int) -> float:
    """Of the processes that it started and that still run; they are in no sum of its own yet."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(cpu_seconds(int(child)).own for task in tasks for child in (task / "children").read_text().split())


def cpu_seconds_of(command: Sequence[str | Path]) -> float:
    """Of a command and all that it starts, its output thrown away."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, list(map(str, command)))
    return usage.ru_utime + usage.ru_stime
