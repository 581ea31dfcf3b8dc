"""Lengths that headers state of their sound where FFmpeg does not say: AVI, FLAC; and the last tag of an FLV."""

from __future__ import annotations

import struct

from trigger_function.inspection.declared_size import HEAD_BYTES
from trigger_function.inspection.ranged_reader import RandomAccess

_FLAC_INFO_BYTES = 26
"""Marker, header of the first metadata block, and of that all up to the number of samples."""


def flac_info(file: RandomAccess) -> tuple[float | None, bool]:
    """Seconds by STREAMINFO, None where it does not know; and whether the frames have varying sizes."""
    info = file.read_at(0, _FLAC_INFO_BYTES)
    if len(info) < _FLAC_INFO_BYTES:
        return None, False
    smallest, largest = struct.unpack_from(">HH", info, 8)
    fields = int.from_bytes(info[18:26])
    rate, samples = fields >> 44, fields & ((1 << 36) - 1)
    return (samples / rate if rate and samples else None), smallest != largest


def avi_seconds(file: RandomAccess, stream_index: int) -> float | None:
    """Of one stream by its header; None where that was never written."""
    head = file.read_at(0, HEAD_BYTES)
    at = -1
    for _ in range(stream_index + 1):
        at = head.find(b"strh", at + 1)
        if at < 0:
            return None
    # Type, handler, flags, priority, language, initial frames; then scale, rate, start and length.
    try:
        scale, rate, _, length = struct.unpack_from("<IIII", head, at + 8 + 20)
    except struct.error:
        return None
    return length * scale / rate if rate and scale and 0 < length < 2**31 else None


_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def asf_seconds(file: RandomAccess) -> float | None:
    """Of the longest stream by the file's properties; None where there are none."""
    head = file.read_at(0, HEAD_BYTES)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or at + 88 > len(head):
        return None
    # In 100 ns, with a buffer's milliseconds before the start.
    play_ticks, _, preroll_milliseconds = struct.unpack_from("<QQQ", head, at + 64)
    seconds = play_ticks / 1e7 - preroll_milliseconds / 1000
    return seconds if seconds > 0 else None


_FLV_HEADER_BYTES, _FLV_TAG_BYTES, _FLV_AUDIO = 9, 11, 8
_FLV_TAGS = 500
"""Most tags looked at from the end back; a picture that goes on without sound has 25 a second."""


def flv_end_seconds(file: RandomAccess) -> float | None:
    """When the last audio tag ends, by the tags' own order from the end back; None where the end is no tag's."""
    at, latest, before = file.size, None, None
    for _ in range(_FLV_TAGS):
        size = int.from_bytes(file.read_at(at - 4, 4)) if at > _FLV_HEADER_BYTES + 4 else 0
        start = at - 4 - size
        tag = file.read_at(start, _FLV_TAG_BYTES) if size > _FLV_TAG_BYTES and start > _FLV_HEADER_BYTES else b""
        if len(tag) < _FLV_TAG_BYTES or int.from_bytes(tag[1:4]) != size - _FLV_TAG_BYTES:
            return None
        if tag[0] & 0x1F == _FLV_AUDIO:
            # Milliseconds; the fourth byte is the highest.
            milliseconds = tag[7] << 24 | int.from_bytes(tag[4:7])
            if latest is None:
                latest = milliseconds
            elif before is None:
                before = milliseconds
                return (latest + max(0, latest - before)) / 1000
        at = start
    return None
