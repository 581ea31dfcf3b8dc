"""The upload as PyAV reads it: one file or a part of it, with bytes of its header corrected. Nothing else is opened."""

from __future__ import annotations

import io
import os
from bisect import bisect_left
from collections.abc import Mapping

from gpu_job.fetch.arrival import ArrivalMap


class UploadFile:
    """The file itself, which may still be arriving: what is read then is waited for."""

    def __init__(self, path: str, arrival: ArrivalMap | None = None) -> None:
        """`arrival`: None where it is complete. Raises OSError."""
        self._arrival = arrival
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, count: int, at: int) -> bytes:
        """Up to `count` bytes from `at` on. Raises OSError, also where they will not arrive."""
        end = min(at + count, self.size)
        if self._arrival is not None and at < end and not self._arrival.wait_for(at, end):
            raise ConnectionError("the file was not fetched")
        return os.pread(self._descriptor, count, at)


class ByteSource:
    """Bytes [start, end) of a file, with patches. Never raises: PyAV prints what a callback raises."""

    def __init__(self, file: UploadFile, start: int, end: int, patches: Mapping[int, bytes] | None = None) -> None:
        """`patches`: offsets from `start` and the bytes that are read there instead."""
        self.failure: str | None = None
        """Why reading ended before the end of the file."""
        self.damaged_until = 0
        """Offset of the bytes in which the demuxer found something wrong when the file was opened: it has read them
        by then, and does not complain again."""
        self.size = end - start
        self._file = file
        self._start = start
        self._end = end
        self._at = start
        self._patches = patches or {}
        self._patch_starts = sorted(self._patches)
        self._longest_patch = max(map(len, self._patches.values()), default=0)

    def patched(self, patches: Mapping[int, bytes]) -> ByteSource:
        """The same bytes with some of them replaced."""
        return ByteSource(self._file, self._start, self._end, patches)

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from the current position."""
        data = self.read_at(self._at - self._start, count)
        self._at += len(data)
        return data

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on, without moving."""
        at = self._start + offset
        try:
            data = self._file.read(max(0, min(count, self._end - at)), at)
        except OSError as error:
            self.failure = str(error)
            return b""
        return self._with_patches(data, offset) if self._patches else data

    def _with_patches(self, data: bytes, at: int) -> bytes:
        """The bytes that stand at `at`. A file may have a patch for each second of it."""
        end = at + len(data)
        first = bisect_left(self._patch_starts, at - self._longest_patch)
        starts = self._patch_starts[first : bisect_left(self._patch_starts, end)]
        if not starts:
            return data
        changed = bytearray(data)
        for start in starts:
            patch = self._patches[start]
            begin, stop = max(start, at), min(start + len(patch), end)
            if begin < stop:
                changed[begin - at : stop - at] = patch[begin - start : stop - start]
        return bytes(changed)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._start, base + offset)
        return self.tell()

    def tell(self) -> int:
        """As of a file."""
        return self._at - self._start

    def refuse_to_open(self, url: str, flags: int, options: dict[str, str]) -> io.BytesIO:
        """An empty file in place of another one that the upload asks for."""
        self.failure = "the file refers to another file or address, which is not followed"
        return io.BytesIO()
