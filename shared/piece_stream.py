"""Objects that are written while they are made: neither all their bytes nor their number is known before."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket

CHUNK_BYTES = 8 * 2**20
"""Of each request, as Google's client asks for: https://cloud.google.com/storage/docs/performing-resumable-uploads"""


class PieceStream:
    """Pieces as the file that Google's client reads, from the beginning and never back: it holds what it sends."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        """Of the last piece, not read yet."""
        self._read = 0

    def tell(self) -> int:
        """How many bytes were read."""
        return self._read

    def read(self, size: int) -> bytes:
        """As many bytes, fewer only at the end."""
        parts, missing = [self._left[:size]], size - len(self._left)
        self._left = self._left[size:]
        while missing > 0 and (piece := next(self._pieces, None)) is not None:
            parts.append(piece[:missing])
            self._left = piece[missing:]
            missing -= len(piece)
        data = b"".join(parts)
        self._read += len(data)
        return data


def create_once_from(bucket: Bucket, name: str, pieces: Iterable[bytes], content_type: str) -> None:
    """Write the object unless it exists; where it does, not all pieces are read."""
    blob = bucket.blob(name, chunk_size=CHUNK_BYTES)
    with suppress(PreconditionFailed):  # another worker's, or ours, whose answer was lost
        blob.upload_from_file(PieceStream(pieces), content_type=content_type, if_generation_match=0)
