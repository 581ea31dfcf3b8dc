"""Views of a file with bytes replaced or left out, so that a demuxer takes what it must not read for padding."""

from __future__ import annotations

from collections.abc import Mapping

from trigger_function.inspection.ranged_reader import RandomAccess


class Overlay(RandomAccess):
    """`file` with the bytes at each offset of `patches` replaced; patches lie inside the file."""

    def __init__(self, file: RandomAccess, patches: Mapping[int, bytes]) -> None:
        super().__init__(file.size)
        self._file = file
        self._patches = patches

    def read_at(self, offset: int, count: int) -> bytes:
        data = bytearray(self._file.read_at(offset, count))
        end = offset + len(data)
        for start, patch in self._patches.items():
            first, last = max(start, offset), min(start + len(patch), end)
            if first < last:
                data[first - offset : last - offset] = patch[first - start : last - start]
        return bytes(data)


class Head(RandomAccess):
    """`file` up to the byte `end`."""

    def __init__(self, file: RandomAccess, end: int) -> None:
        super().__init__(min(end, file.size))
        self._file = file

    def read_at(self, offset: int, count: int) -> bytes:
        return self._file.read_at(offset, max(0, min(count, self.size - offset)))


class Tail(RandomAccess):
    """`file` from the byte `start` on."""

    def __init__(self, file: RandomAccess, start: int) -> None:
        super().__init__(max(file.size - start, 0))
        self._file = file
        self._start = start

    def read_at(self, offset: int, count: int) -> bytes:
        return self._file.read_at(self._start + offset, count)
