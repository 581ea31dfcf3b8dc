"""Which parts of a file have arrived, told to other processes that read it meanwhile.

A small file beside it, which the fetching process and each decoder map into memory: that process's id, one byte for
the state, then two bytes a part. Who reads where nothing is yet marks the part as wanted, and waits. Every byte has one
writer, or is only ever set to 1, so there are no locks. The fetching process believes nothing of it but what is wanted:
decoders are exposed to uploads.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Self

PART_BYTES = 8 * 2**20
"""Of each part but the last: a request. 6 GB are 716, which cost $0.0003."""

POLL_SECONDS = 0.005
"""Between two looks of a reader that waits."""

_ARRIVING, _COMPLETE, _FAILED = range(3)
_PROCESS = struct.Struct("<Q")


class ArrivalMap:
    """The map of one file, of `parts` parts."""

    def __init__(self, path: Path) -> None:
        """Of an existing map. It may be removed meanwhile."""
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 0)
        (self._fetching_process,) = _PROCESS.unpack_from(self._bytes)
        self._state = _PROCESS.size
        self._present = self._state + 1
        self.parts = (len(self._bytes) - self._present) // 2
        self._wanted = self._present + self.parts

    @classmethod
    def create(cls, path: Path, size: int) -> Self:
        """Of a file of `size` bytes, none of which are there; this process fetches it."""
        path.write_bytes(_PROCESS.pack(os.getpid()) + bytes([_ARRIVING]) + bytes(2 * math.ceil(size / PART_BYTES)))
        return cls(path)

    # For who fetches.

    def add(self, part: int) -> None:
        """It is in the file."""
        self._bytes[self._present + part] = 1

    def wanted(self) -> list[int]:
        """Parts that a reader wants or wanted, the first one first."""
        return [part for part in range(self.parts) if self._bytes[self._wanted + part]]

    def end(self, *, complete: bool) -> None:
        """Nothing more will be added."""
        self._bytes[self._state] = _COMPLETE if complete else _FAILED

    # For who waits for readers.

    @property
    def arrived(self) -> int:
        """How many parts are in the file."""
        return self._bytes[self._present : self._wanted].count(1)

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for a part that may still come."""
        return not self.has_ended and not all(map(self.has, self.wanted()))

    # For who reads.

    def has(self, part: int) -> bool:
        """Whether it is in the file."""
        return bool(self._bytes[self._present + part])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be added."""
        return bool(self._bytes[self._state] != _ARRIVING)

    def wait_for(self, start: int, end: int) -> bool:
        """Wait until the bytes [start, end) are in the file; False where they will not come.

        They will not where the fetch failed, or the process that fetches is gone.
        """
        for part in range(start // PART_BYTES, math.ceil(end / PART_BYTES)):
            self._bytes[self._wanted + part] = 1
            while not self.has(part):
                if self.has_ended or not self._is_fetched():
                    return self.has(part)
                time.sleep(POLL_SECONDS)
        return True

    def _is_fetched(self) -> bool:
        """Whether the process that fetches the file is there."""
        try:
            os.kill(self._fetching_process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it is there, and a decoder may send it no signals
        return True
