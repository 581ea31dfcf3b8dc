"""The processes of a step: whatever one started ends with it, also where it died itself without ending them.

A worker that is left over would go on with the GPU, and its figures would be the next step's. Workers lead groups and
sessions of their own, so that no signal to the step's group reaches them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 10.0
"""Longest wait for killed processes, which may have to give back a GPU's memory."""
POLL_SECONDS = 0.05


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Processes whose parent dies become children of this one, where they are found. On Linux; elsewhere nothing."""
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on; those that ended and were not waited for included. Empty without /proc."""
    parents = {int(one.name): _parent(one) for one in Path("/proc").glob("[0-9]*")}
    found: set[int] = set()
    while more := {one for one, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def _parent(process: Path) -> int:
    """0 where it has ended meanwhile."""
    try:
        # The name in parentheses may hold anything, spaces and parentheses, too.
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def end_descendants(but: Container[int]) -> int:
    """Kill this process's descendants but those, and what those started; how many there were."""
    spared = {one for one in descendants(os.getpid()) if one in but}
    ended: set[int] = set()
    deadline = time.monotonic() + END_SECONDS
    while True:
        kept = spared.union(*(descendants(one) for one in spared))
        found = descendants(os.getpid()) - kept
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        ended |= found
        if not found or time.monotonic() >= deadline:
            return len(ended)
        time.sleep(POLL_SECONDS)
