"""Count a track's packets and the time that they span, without decoding any: what there is to be heard.

The decoder's own count shows what it took; this one, over the file opened anew, what it should have taken. A part of a
file is entered well before it, and what is counted begins and ends at packets by which the next part's count knows that
none is left out, and none counted twice (`gpu_job.audio.counted_parts`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, TypeAlias

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from gpu_job.audio.decoder.clock import BACKWARD_SECONDS, TOLERANCE_SECONDS, ClockRules
from gpu_job.audio.decoder.records import CountedPart, PacketMark, PacketSeam, PacketTimes

MAX_ERRORS = 16
"""Of the demuxer, in a row; the rest is not counted then."""

LONGEST_PACKET_SECONDS = 10.0
"""Of any codec; the longest FLAC frame at 8 kHz lasts 8.2 s. Containers state nonsense before a late start."""

LONGEST_FRAME_SECONDS = 0.15
"""Of codecs with frames of one length; Opus has 0.12 s. MP4 makes the packet before a pause as much longer."""

LONGEST_OPUS_SECONDS, ALAC_FRAME_SAMPLES = 0.12, 4096
"""Of codecs for which FFmpeg states no frame size before it has decoded."""

LEAD_SECONDS = 60
"""Read before a part: more than any demuxer keeps of what it read before, such as ten headers of FLAC frames."""

AudioPacket: TypeAlias = "Packet[AudioStream]"


class _Entered(NamedTuple):
    """Where a part begins."""

    before: AudioPacket
    """The last packet before it."""
    end: float
    """Seconds at which that one ends."""
    first: AudioPacket
    rest: Iterator[AudioPacket]


@dataclass
class PacketCount:
    """Of one file, which may hold several recordings."""

    packets: int = 0
    seconds: float = 0.0
    _ranges: list[list[float]] = field(default_factory=list)
    """First and last second of each stretch with packets."""
    _has_clock: bool = True
    _recordings: int = 0

    def add(self, container: InputContainer, stream: AudioStream, origin: float, rules: ClockRules) -> None:
        """Count the packets of one recording. `origin`: seconds on its clock at which a player begins."""
        self._count(container, stream, container.demux(stream), origin, rules)

    def part(
        self,
        container: InputContainer,
        stream: AudioStream,
        origin: float,
        rules: ClockRules,
        begin: int,
        until: int | None,
    ) -> CountedPart | None:
        """Count the packets of a file's only recording that begin in [begin, until) seconds of the output; `until`:
        None: to its end. None where nothing tells whether the counts of the parts beside it go on from its ends."""
        packets: Iterator[AudioPacket] = container.demux(stream)
        entered = None
        if begin:
            if (entered := _entered(container, stream, origin, begin)) is None:
                return None
            packets = chain([entered.first], entered.rest)
        last = self._count(container, stream, packets, origin, rules, entered, math.inf if until is None else until)
        first_seam = None if entered is None else _seam(entered.before, entered.first)
        last_seam = None if last is None else _seam(*last)
        if (begin and first_seam is None) or (until is not None and last_seam is None) or not self._has_clock:
            return None
        return CountedPart(self.result(), first_seam, last_seam)

    def _count(
        self,
        container: InputContainer,
        stream: AudioStream,
        packets: Iterator[AudioPacket],
        origin: float,
        rules: ClockRules,
        entered: _Entered | None = None,
        until: float = math.inf,
    ) -> tuple[AudioPacket, AudioPacket] | None:
        """The first packet that begins at `until` seconds or later, and the one before it; None where either is
        missing."""
        self._recordings += 1
        self._has_clock = self._has_clock and rules.has_times
        tick = float(stream.time_base or 0)
        longest = _longest_packet(stream)
        latest, discontinuity = rules.longest_seconds, rules.discontinuity_seconds
        span = self._ranges[-1] if self._ranges else None
        last, end = (None, 0.0) if entered is None else (entered.before, entered.end)
        errors = 0
        # Fifty times for each second of sound: no calls, and little but local names.
        while errors <= MAX_ERRORS:
            try:
                packet = next(packets, None)
            except (FFmpegError, IndexError):
                errors += 1
                packets = container.demux(stream)
                continue
            if packet is None:
                return None
            if not packet.size or packet.is_discard:
                continue
            errors = 0
            seconds = (packet.duration or 0) * tick
            if seconds > longest:
                seconds = longest
            pts = packet.pts
            start = end if pts is None else pts * tick - origin
            if start >= until:
                return None if last is None else (last, packet)
            last = packet
            self.packets += 1
            self.seconds += seconds
            jump = start - end
            if jump < -BACKWARD_SECONDS or jump > discontinuity or start > latest:
                self._has_clock = False
            end = start + seconds
            if start < 0.0:
                start = 0.0
            if span is not None and start - span[1] < TOLERANCE_SECONDS:
                if end > span[1]:
                    span[1] = end
            elif end > start:
                span = [start, end]
                self._ranges.append(span)
        return None

    def result(self) -> PacketTimes:
        """What was counted."""
        has_clock = self._has_clock and self._recordings == 1
        ranges = tuple((first, last) for first, last in self._ranges) if has_clock else None
        return PacketTimes(self.packets, self.seconds, ranges)


def _entered(container: InputContainer, stream: AudioStream, origin: float, begin: int) -> _Entered | None:
    """The first packet that begins at `begin` seconds or later, and the one before it; None where either is missing."""
    tick, longest = float(stream.time_base or 0), _longest_packet(stream)
    before: tuple[AudioPacket, float] | None = None
    try:
        if begin > LEAD_SECONDS:
            container.seek(_entry(container, stream, int((begin - LEAD_SECONDS + origin) / tick)), stream=stream)
        packets = container.demux(stream)
        for packet in packets:
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None:
                return None
            start = packet.pts * tick - origin
            if start >= begin:
                return None if before is None else _Entered(*before, packet, packets)
            before = packet, start + min(longest, (packet.duration or 0) * tick)
    except (FFmpegError, IndexError):
        pass
    return None


def _entry(container: InputContainer, stream: AudioStream, ticks: int) -> int:
    """Where to enter a stream, at `ticks` or a little earlier, so that its packets are those of a pass from its start:
    PCM is cut into packets of one length from where it is entered."""
    first = next(container.demux(stream), None)
    if first is None or first.pts is None or not first.duration:
        return ticks
    return ticks - (ticks - first.pts) % first.duration


def _seam(before: AudioPacket, after: AudioPacket) -> PacketSeam | None:
    marks = _mark(before), _mark(after)
    return None if marks[0] is None or marks[1] is None else (marks[0], marks[1])


def _mark(packet: AudioPacket) -> PacketMark | None:
    if packet.pts is None or packet.pos is None or packet.pos < 0:
        return None
    return PacketMark(packet.pts, packet.duration or 0, packet.size, packet.pos, zlib.crc32(packet))


def _longest_packet(stream: AudioStream) -> float:
    context = stream.codec_context
    if context.name in ("opus", "libopus"):
        return LONGEST_OPUS_SECONDS
    if context.name == "alac" and context.sample_rate:
        return max(LONGEST_FRAME_SECONDS, ALAC_FRAME_SAMPLES / context.sample_rate)
    if not context.frame_size or not context.sample_rate:
        return LONGEST_PACKET_SECONDS
    return max(LONGEST_FRAME_SECONDS, 2 * context.frame_size / context.sample_rate)
