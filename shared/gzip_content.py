"""Objects with `Content-Encoding: gzip`: their content is unpacked as it comes, in pieces, with an end to its size.

Standard zlib does the work. A file of several gzip members is the content of all of them, as for gzip(1); zeros behind
a member are padding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shared.errors import BadMedia, Rejected

if TYPE_CHECKING:
    from zlib import _Decompress

MAGIC = b"\x1f\x8b"

PIECE_BYTES = 2**20
"""Most that is unpacked at a time, however well it was packed."""

_GZIP_WINDOW_BITS = 31
"""zlib's number for "expect the header and the checksum of gzip"."""


def is_gzip_encoded(content_encoding: str | None) -> bool:
    """Whether a Content-Encoding names gzip. The content may be something else: some tools set the field alone."""
    codings = (coding.strip().lower() for coding in (content_encoding or "").split(","))
    return any(coding in ("gzip", "x-gzip") for coding in codings)


class GzipDecoder:
    """Unpacks a stream that is given to it in blocks; a copy unpacks the same from here on."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: of unpacked content, in all."""
        self.unpacked_bytes = 0
        self._max_bytes = max_bytes
        self._member: _Decompress | None = zlib.decompressobj(_GZIP_WINDOW_BITS)

    def add(self, data: bytes) -> Iterator[bytes]:
        """The next block of the stream -> what it unpacks to, in pieces of up to PIECE_BYTES; read all of them.

        Raises BadMedia where the stream is damaged, and Rejected before more than `max_bytes` were given out.
        """
        while True:
            if self._member is None:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise BadMedia("The file is damaged: its gzip encoding cannot be unpacked.") from None
            self.unpacked_bytes += len(piece)
            if self.unpacked_bytes > self._max_bytes:
                limit = f"{self._max_bytes / 1e6:,g} MB (MAX_UNPACKED_BYTES)"
                raise Rejected(f"The file is stored with gzip encoding, and unpacked it is larger than {limit}.")
            if piece:
                yield piece
            if self._member.eof:
                data, self._member = self._member.unused_data, None
                continue
            data = self._member.unconsumed_tail
            # A full piece may leave more in zlib's hands, though it has taken all of the block.
            if not data and len(piece) < PIECE_BYTES:
                return

    def end(self) -> None:
        """The stream is over. Raises BadMedia where something of it is missing."""
        if self._member is not None:
            raise BadMedia("The file is damaged: its gzip encoding ends too early.")

    def copy(self) -> GzipDecoder:
        """Another decoder at this place; about 40 KB."""
        twin = GzipDecoder(self._max_bytes)
        twin.unpacked_bytes = self.unpacked_bytes
        twin._member = self._member.copy() if self._member is not None else None
        return twin


def unpacked(blocks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """A whole gzip stream -> its content in pieces. Raises what GzipDecoder raises."""
    decoder = GzipDecoder(max_bytes)
    for block in blocks:
        yield from decoder.add(block)
    decoder.end()
