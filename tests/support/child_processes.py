"""The child processes of a process, as the kernel has them."""

from __future__ import annotations

from pathlib import Path


def child_processes(pid: int) -> set[int]:
    """Ids of the processes whose parent is `pid`, whichever of its threads started them, zombies included."""
    children = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in brackets, may hold anything; the state and the parent follow it.
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if int(parent) == pid:
            children.add(int(stat.parent.name))
    return children
