"""The content of an object that is stored with gzip encoding, readable at any place by ranged reads of the object.

A gzip stream can only be read from its front. So it is unpacked once, without keeping what comes out: that finds
damage, its size, and a decoder's state every few MB, from which any place is reached again by unpacking a little.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from shared.gzip_content import GzipDecoder
from trigger_function.inspection.ranged_reader import Fetch, ShortFetch

FETCH_BYTES = 8 * 2**20
"""Of the object, in one request of the first pass."""

SEEK_FETCH_BYTES = 2**18
"""Of the object, in one request that reaches for a place."""

BLOCK_BYTES = 2**16
"""Given to the decoder at a time: at gzip's best, 1,000 to 1, a state is kept every 64 MB."""

MAX_STATES = 256
"""Kept decoders, of 40 KB each."""


@dataclass(frozen=True)
class _State:
    """A decoder that has taken the object's bytes up to `offset`."""

    offset: int
    decoder: GzipDecoder


class GzipObject:
    """Unpacks the object of `size` bytes behind `fetch` in memory, of which a few MB are held at a time."""

    def __init__(self, fetch: Fetch, size: int, max_unpacked_bytes: int) -> None:
        """Read it once. Raises BadMedia where it is damaged, Rejected where its content is larger than allowed."""
        self._fetch = fetch
        self._size = size
        decoder = GzipDecoder(max_unpacked_bytes)
        self._states = [_State(0, decoder.copy())]
        step = max(FETCH_BYTES, max_unpacked_bytes // MAX_STATES)
        for offset, block in self._blocks(0, FETCH_BYTES):
            for _ in decoder.add(block):
                pass
            if decoder.unpacked_bytes - self._states[-1].decoder.unpacked_bytes >= step:
                self._states.append(_State(offset + len(block), decoder.copy()))
        decoder.end()
        self.unpacked_size = decoder.unpacked_bytes

    def fetch(self, start: int, end: int) -> bytes:
        """Bytes [start, end) of the content."""
        places = [state.decoder.unpacked_bytes for state in self._states]
        state = self._states[bisect_right(places, start) - 1]
        decoder, out = state.decoder.copy(), bytearray()
        place = decoder.unpacked_bytes
        for _, block in self._blocks(state.offset, SEEK_FETCH_BYTES):
            for piece in decoder.add(block):
                out += piece[max(start - place, 0) : max(end - place, 0)]
                place += len(piece)
                if place >= end:
                    return bytes(out)
        return bytes(out)

    def _blocks(self, first: int, fetch_bytes: int) -> Iterator[tuple[int, bytes]]:
        """The object from `first` on: blocks with their offsets."""
        for start in range(first, self._size, fetch_bytes):
            end = min(start + fetch_bytes, self._size)
            data = self._fetch(start, end)
            if len(data) != end - start:
                raise ShortFetch(f"asked for bytes {start} to {end}, got {len(data)} of {end - start}")
            for at in range(0, len(data), BLOCK_BYTES):
                yield start + at, data[at : at + BLOCK_BYTES]
