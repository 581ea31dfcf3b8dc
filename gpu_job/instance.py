"""What the instance has for uploads, as its control group and its file systems say: memory, and disk in one folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")

_BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own."""

_NO_LIMIT = 2**60
"""Version 1 of control groups has a number near 2^63 where there is no limit."""


@dataclass(frozen=True)
class DiskSpace:
    """Of one file system, in bytes."""

    total_bytes: int
    free_bytes: int
    """For a user who is not root."""


def memory_bytes(cgroups: Path = CGROUPS) -> int | None:
    """What this process may use: its control group's limit, else the machine's memory; None where neither is known."""
    limits = [limit for name in ("memory.max", "memory/memory.limit_in_bytes") if (limit := _number(cgroups / name))]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def disk_space(folder: Path) -> DiskSpace:
    """Of the file system that the folder is on."""
    usage = shutil.disk_usage(folder)
    return DiskSpace(usage.total, usage.free)


def bytes_in(folder: Path) -> int:
    """What the files under a folder take on its disk now; those that vanish meanwhile take none."""
    taken = 0
    # Not Path.rglob, which fails on a folder that another thread removes meanwhile.
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                status = Path(parent, name).stat(follow_symlinks=False)
            except OSError:
                continue
            # Windows counts no blocks.
            taken += status.st_blocks * _BLOCK_BYTES if hasattr(status, "st_blocks") else status.st_size
    return taken


def _number(file: Path) -> int | None:
    try:
        number = int(file.read_text())
    except (OSError, ValueError):
        return None  # no such version, or `max`: no limit
    return number if 0 < number < _NO_LIMIT else None
