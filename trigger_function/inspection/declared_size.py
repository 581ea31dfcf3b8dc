"""How long a file is by its own header. One that has fewer bytes than that was cut."""

from __future__ import annotations

import re
import struct

HEAD_BYTES = 256 * 1024
"""The first bytes of a file, in which its header says what this module reads."""

_UNKNOWN = (0, 2**32 - 1)
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1
_MATROSKA_SEGMENT = bytes.fromhex("18538067")


def stated_size(head: bytes) -> int | None:
    """The whole file's size in bytes by its first bytes; None where they do not say."""
    try:
        if head.startswith(b"RIFF"):
            return _chunk_end(head, "<I")
        if head.startswith(b"FORM"):
            return _chunk_end(head, ">I")
        if head.startswith(b"FLV"):
            return _flv_size(head)
        if _ASF_FILE_PROPERTIES in head:
            return _asf_size(head)
        if _MATROSKA_SEGMENT in head:
            return _segment_end(head)
    except struct.error:
        return None
    return None


def stated_mp3_bytes(before_audio: bytes) -> int | None:
    """Bytes of audio by the Xing, Info or VBRI frame that ends `before_audio`; None where there is none."""
    tag = re.search(rb"Xing|Info|VBRI", before_audio)
    if tag is None:
        return None
    rest = before_audio[tag.end() :]
    try:
        if tag.group() == b"VBRI":
            (size,) = struct.unpack_from(">I", rest, 6)
        else:
            (flags,) = struct.unpack_from(">I", rest)
            has_frames, has_size = flags & 1, flags & 2
            (size,) = struct.unpack_from(">I", rest, 8 if has_frames else 4) if has_size else (0,)
    except struct.error:
        return None
    return size or None


def _chunk_end(head: bytes, layout: str) -> int | None:
    (size,) = struct.unpack_from(layout, head, 4)
    return None if size in _UNKNOWN else size + 8


def _flv_size(head: bytes) -> int | None:
    """The number that follows the key `filesize` in the file's metadata."""
    at = head.find(b"filesize\0")
    if at < 0:
        return None
    (size,) = struct.unpack_from(">d", head, at + 9)
    return int(size) if 0 < size < 2**63 else None


def _asf_size(head: bytes) -> int | None:
    at = head.find(_ASF_FILE_PROPERTIES)
    (size,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    return None if flags & _ASF_BROADCAST else size


def _segment_end(head: bytes) -> int | None:
    """End of a Matroska segment; its size is one byte whose leading zeros count the bytes that follow, and those."""
    at = head.find(_MATROSKA_SEGMENT) + 4
    (first,) = struct.unpack_from("B", head, at)
    width = 9 - first.bit_length()
    if width > 8 or len(head) < at + width:
        return None
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[at : at + width]) & unknown
    return None if size == unknown else at + width + size
