"""Remote objects for tests: what `inspect` is given to fetch from, with a count of what it took."""

from __future__ import annotations

from collections.abc import Sequence

Piece = tuple[int, bytes]
"""Bytes and the offset they stand at."""


class RemoteObject:
    """An object of `size` bytes: zeros, except where pieces stand; it counts what is fetched."""

    def __init__(self, size: int, pieces: Sequence[Piece]) -> None:
        self.size = size
        self.bytes_fetched = 0
        self.requests: list[tuple[int, int]] = []
        self._pieces = pieces

    @classmethod
    def of(cls, data: bytes) -> RemoteObject:
        """An object that holds `data`."""
        return cls(len(data), [(0, data)])

    def fetch(self, start: int, end: int) -> bytes:
        """Bytes [start, end)."""
        self.bytes_fetched += end - start
        self.requests.append((start, end))
        return self._read(start, end)

    def _read(self, start: int, end: int) -> bytes:
        out = bytearray(end - start)
        for offset, data in self._pieces:
            first, last = max(offset, start), min(offset + len(data), end)
            if first < last:
                out[first - start : last - start] = data[first - offset : last - offset]
        return bytes(out)


class RepeatedObject(RemoteObject):
    """A head, then one body again and again: a long recording that takes no room."""

    def __init__(self, head: bytes, body: bytes, times: int) -> None:
        super().__init__(len(head) + len(body) * times, [(0, head)])
        self._head, self._body = head, body

    def _read(self, start: int, end: int) -> bytes:
        of_head = self._head[start:end]
        first, last = max(start - len(self._head), 0), max(end - len(self._head), 0)
        turn = first // len(self._body)
        turns = self._body * (last // len(self._body) + 1 - turn)
        return of_head + turns[first - turn * len(self._body) : last - turn * len(self._body)]
