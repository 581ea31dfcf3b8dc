"""A small disk of a job's own, which can be filled: a file system in memory."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE_MIB = 256
"""Room for what killed workers left in it, too: in Cloud Run each has a disk of its own."""


@dataclass(frozen=True)
class SmallDisk:
    """Where the workers of a run put uploads."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """While it is entered, not a byte is free."""
        filler = self.folder / "filler"
        try:
            with filler.open("wb") as file:
                self._fill(file.fileno())
            yield
        finally:
            filler.unlink(missing_ok=True)

    def _fill(self, fd: int) -> None:
        written = 0
        for size in (2**20, 2**12):
            while shutil.disk_usage(self.folder).free:
                try:
                    os.posix_fallocate(fd, written, size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break
                written += size


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mounted there while it is entered; None where this process may not mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "dropscribe-chaos", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        is_mounted = False
    if not is_mounted:
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)
