"""Whether bytes are missing in a stretch of an MPEG stream.

FFmpeg finds the next packet without a word. Transport packets are counted per stream and have one length; those of a
program stream state theirs, so that each leads to the next.
"""

from __future__ import annotations

from collections.abc import Iterator

_SYNC, _PADDING_PID, _SCRAMBLED = 0x47, 0x1FFF, 0xC0
_TRANSPORT_PACKETS = ((188, 0), (192, 4), (192, 0), (204, 0))
"""Bytes from one to the next, and before the sync byte: plain, Blu-ray from its time code on or from the sync byte on,
and with error correction."""

_START_CODE = b"\0\0\1"
_PACK, _END = 0xBA, 0xB9
_LONGEST_HEADER = 14


def transport_breaks(data: bytes, span: int) -> bool:
    """Whether in `data`, from one transport packet on, one is missing, torn, or encrypted."""
    for length, offset in _TRANSPORT_PACKETS:
        syncs = data[offset : offset + 3 * length : length]
        if syncs and syncs == bytes([_SYNC]) * len(syncs):
            return any(_breaks(data, length, offset))
    return True


def _breaks(data: bytes, length: int, offset: int) -> Iterator[bool]:
    """Of each transport packet: whether one is missing before it."""
    counts: dict[int, int] = {}
    for at in range(offset, len(data) - 188, length):
        if data[at] != _SYNC:
            yield True
            return
        pid = (data[at + 1] << 8 | data[at + 2]) & 0x1FFF
        flags, count = data[at + 3], data[at + 3] & 0x0F
        is_new = flags & 0x20 and data[at + 4] and data[at + 5] & 0x80
        has_payload = bool(flags & 0x10)
        before = counts.get(pid)
        if flags & _SCRAMBLED and has_payload:
            yield True
        if before is not None and has_payload and pid != _PADDING_PID and not is_new:
            yield count not in (before, before + 1 & 0x0F)
        if has_payload:
            counts[pid] = count


def program_breaks(data: bytes, span: int) -> bool:
    """Whether the packets that `data` begins with do not lead to the one that stands `span` bytes behind."""
    at = 0
    while at < min(span, len(data) - _LONGEST_HEADER + 1):
        if data[at : at + 3] != _START_CODE or data[at + 3] < _END:
            return True
        kind = data[at + 3]
        if kind == _PACK:
            is_mpeg_2 = data[at + 4] >> 6 == 1
            at += 14 + (data[at + 13] & 7) if is_mpeg_2 else 12
        else:
            at += 4 if kind == _END else 6 + int.from_bytes(data[at + 4 : at + 6])
    return at != span and len(data) >= span + _LONGEST_HEADER
