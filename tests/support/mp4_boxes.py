"""MP4 boxes, taken apart and put together."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def box(kind: bytes, content: bytes) -> bytes:
    """One box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Start, type and end of each box."""
    start = 0
    while start < len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield start, kind, start + size
        start += size


def with_content(data: bytes, path: tuple[bytes, ...], content: bytes) -> bytes:
    """Boxes of which the one at `path` holds `content`; those around it grow with it."""
    kind, *rest = path
    parts = []
    for start, found, end in boxes(data):
        inner = data[start + 8 : end]
        if found == kind:
            inner = with_content(inner, tuple(rest), content) if rest else content
        parts.append(box(found, inner))
    return b"".join(parts)
