"""The boxes of an MP4, as far as their sizes lead, in a file or in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.formats.chunks import ReadableBytes

MAX_BOXES = 1_000_000
"""Most looked at in one place: a day in fragments of a tenth of a second."""


class Box(NamedTuple):
    """One box: type, first byte, first byte of the content, and end, which a file that was cut does not reach."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(file: ReadableBytes, at: int = 0, end: int | None = None) -> Iterator[Box]:
    """Those that begin in [at, end)."""
    end = file.size if end is None else min(end, file.size)
    for _ in range(MAX_BOXES):
        header = file.read_at(at, 16) if at + 8 <= end else b""
        if len(header) < 8:
            return
        size, body = int.from_bytes(header[:4]), at + 8
        if size == 1 and len(header) == 16:
            size, body = int.from_bytes(header[8:]), at + 16
        if at + size < body:
            return
        yield Box(header[4:8], at, body, at + size)
        at += size


class BytesInFile:
    """Bytes in memory, to be read as a file is."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on, fewer only at the end."""
        return self._data[offset : offset + count]
