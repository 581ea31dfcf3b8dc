"""Chunked files (RIFF, IFF, Wave64, CAF): their chunks, and whether what stands at a place is one of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class ReadableBytes(Protocol):
    """Anything of so many bytes that can be read anywhere."""

    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on, fewer only at the end."""


MAX_CHUNKS = 1000
"""Most chunks looked at; recordings have a dozen, and a hostile file may have millions."""

PLACEHOLDERS = (range(0x7FFF_0000, 0x8001_0000), range(0xFFFF_0000, 0x1_0000_0000))
"""Sizes of 32 bits that stand for `unknown` where the file is shorter: 2 or 4 GB, less a header or some samples."""

TRAILERS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")
"""Tags that programs append to any file."""


class Chunk(NamedTuple):
    """A chunk by its type and its place: first byte, first byte of content, stated end, first byte of the next one."""

    kind: bytes
    start: int
    body: int
    end: int
    next: int


@dataclass(frozen=True)
class ChunkLayout:
    """How a container writes its chunks."""

    kind_bytes: int
    size: str
    """Of the number behind the type, for `struct`."""
    is_kind: Callable[[bytes], bool]
    counts_header: bool = False
    """Whether the size includes type and size."""
    alignment: int = 2
    """Chunks begin at multiples of it."""
    known: frozenset[bytes] = frozenset()
    """Types after which no proof is needed."""

    @property
    def header_bytes(self) -> int:
        """Of type and size."""
        return self.kind_bytes + struct.calcsize(self.size)

    def chunk(self, file: ReadableBytes, at: int) -> Chunk | None:
        """The chunk at a place; None where there is none."""
        header = file.read_at(at, self.header_bytes)
        if len(header) < self.header_bytes or not self.is_kind(header[: self.kind_bytes]):
            return None
        (size,) = struct.unpack(self.size, header[self.kind_bytes :])
        body = at + self.header_bytes
        end = (at if self.counts_header else body) + size
        return Chunk(header[: self.kind_bytes], at, body, end, at + _up(end - at, self.alignment))

    def chunks(self, file: ReadableBytes, at: int) -> Iterator[Chunk]:
        """The chunks from a place on, as far as their sizes lead."""
        for _ in range(MAX_CHUNKS):
            chunk = self.chunk(file, at)
            if chunk is None:
                return
            yield chunk
            if chunk.next < chunk.body:
                return
            at = chunk.next

    def goes_on(self, file: ReadableBytes, at: int) -> bool:
        """Whether at this place the file ends, or goes on with chunks or tags, and not with what a chunk holds.

        Chunks of types that are not known have to lead to the end of the file.
        """
        for _ in range(MAX_CHUNKS):
            if file.size - at < self.header_bytes or file.read_at(at, 8).startswith(TRAILERS):
                return at <= file.size + self.alignment
            chunk = self.chunk(file, at)
            if chunk is None or chunk.next <= at:
                return False
            if chunk.kind in self.known:
                return True
            at = chunk.next
        return True

    def goes_on_behind(self, file: ReadableBytes, chunk: Chunk) -> bool:
        """The same behind a chunk, also where its writer left out the padding."""
        return self.goes_on(file, chunk.next) or (chunk.end != chunk.next and self.goes_on(file, chunk.end))


def _up(length: int, alignment: int) -> int:
    return length + -length % alignment


def is_four_characters(kind: bytes) -> bool:
    """Whether four bytes can be the type of a RIFF or IFF chunk: printable characters, no leading space."""
    return all(0x20 <= byte < 0x7F for byte in kind) and kind[0] != 0x20
