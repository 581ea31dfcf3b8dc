"""The two ways in which Google's client writes an object, called alike."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud import storage


def multipart(blob: storage.Blob, content: bytes, **preconditions: int) -> None:
    """Resource and bytes in one body."""
    blob.upload_from_string(content, **preconditions)


def resumable(blob: storage.Blob, content: bytes, **preconditions: int) -> None:
    """One request to begin and one for each chunk; the client chooses it when no size is given."""
    blob.upload_from_file(io.BytesIO(content), **preconditions)


UPLOAD_KINDS = (multipart, resumable)
