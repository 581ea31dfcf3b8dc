"""Whether bytes are missing in an MPEG stream where its times jump: then sound is lost there, else it pauses.

FFmpeg finds the next packet without a word. Transport packets are counted per stream and have one length; those of a
program stream state theirs, so that each leads to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from av.audio.stream import AudioStream
from av.packet import Packet

from gpu_job.audio.decoder.byte_source import ByteSource
from gpu_job.audio.decoder.clock import TOLERANCE_SECONDS

SEARCHED_BYTES = 16 * 2**20
"""Looked at for one jump; in a longer pause of one stream beside a picture nothing is looked for behind that."""

_SYNC, _PADDING_PID = 0x47, 0x1FFF
_TRANSPORT_PACKETS = ((188, 0), (192, 4), (192, 0), (204, 0))
"""Bytes from one to the next, and before the sync byte: plain, Blu-ray from its time code on or from the sync byte on,
and with error correction."""

_START_CODE = b"\0\0\1"
_PACK, _END = 0xBA, 0xB9
_LONGEST_HEADER = 14


class MpegBreaks:
    """Looks at the packets of one stream as they come."""

    def __init__(self, source: ByteSource, container: str, tick: float) -> None:
        """`container`: the demuxer's first name; `tick`: seconds of one unit of the packets' times."""
        self._source = source
        self._is_broken = _CHECKS.get(container)
        self._tick = tick
        self._end: float | None = None
        self._at: int | None = None

    def before(self, packet: Packet[AudioStream]) -> bool:
        """Whether the times jump at this packet, and bytes are missing between it and the one before."""
        if self._is_broken is None or packet.pts is None or not packet.size:
            return False
        start, before, at = packet.pts * self._tick, self._end, self._at
        self._end = start + (packet.duration or 0) * self._tick
        self._at = packet.pos if packet.pos is not None else at
        if before is None or at is None or packet.pos is None or not start - before > TOLERANCE_SECONDS:
            return False
        span = packet.pos - at
        return span > 0 and self._is_broken(self._source.read_at(at, min(span + _LONGEST_HEADER, SEARCHED_BYTES)), span)


def _transport_breaks(data: bytes, span: int) -> bool:
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
        if before is not None and has_payload and pid != _PADDING_PID and not is_new:
            yield count not in (before, before + 1 & 0x0F)
        if has_payload:
            counts[pid] = count


def _program_breaks(data: bytes, span: int) -> bool:
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


_CHECKS: dict[str, Callable[[bytes, int], bool]] = {"mpegts": _transport_breaks, "mpeg": _program_breaks}
