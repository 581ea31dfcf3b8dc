"""Whether a file is smaller than its header says: then a jump of its times may be bytes that are missing.

Nothing else shows it where whole clusters of a Matroska file or packets of an ASF are gone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from gpu_job.audio.decoder.byte_source import ByteSource

_HEAD_BYTES = 64 * 1024
_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_LIVE = 1


def lacks_bytes(source: ByteSource, container: str) -> bool:
    """`container`: the demuxer's first name; False for all that state no size."""
    head = source.read_at(0, _HEAD_BYTES)
    stated = _STATED.get(container)
    size = stated(head) if stated else None
    return size is not None and size > source.size


def _matroska_size(head: bytes) -> int | None:
    at = head.find(_SEGMENT) + len(_SEGMENT)
    if not head.startswith(_EBML) or at < len(_SEGMENT) or at >= len(head) or not head[at]:
        return None
    length = 9 - head[at].bit_length()
    most = (1 << 7 * length) - 1
    size = int.from_bytes(head[at : at + length]) & most
    return None if size == most else at + length + size


def _asf_size(head: bytes) -> int | None:
    at = head.find(_ASF_FILE_PROPERTIES)
    fields = head[at + 24 :][:68]
    if at < 0 or len(fields) < 68:
        return None
    (size,), (flags,) = struct.unpack_from("<Q", fields, 16), struct.unpack_from("<I", fields, 64)
    return None if flags & _LIVE else size


_STATED: dict[str, Callable[[bytes], int | None]] = {"matroska": _matroska_size, "asf": _asf_size}
