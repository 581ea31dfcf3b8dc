"""Count a track's packets and the time that they span, without decoding any: what there is to be heard.

The decoder's own count shows what it took; this one, over the file opened anew, what it should have taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from gpu_job.audio.decoder.clock import BACKWARD_SECONDS, TOLERANCE_SECONDS, ClockRules
from gpu_job.audio.decoder.records import PacketTimes

MAX_ERRORS = 16
"""Of the demuxer, in a row; the rest is not counted then."""

LONGEST_PACKET_SECONDS = 10.0
"""Of any codec; the longest FLAC frame at 8 kHz lasts 8.2 s. Containers state nonsense before a late start."""

LONGEST_FRAME_SECONDS = 0.15
"""Of codecs with frames of one length; Opus has 0.12 s. MP4 makes the packet before a pause as much longer."""

LONGEST_OPUS_SECONDS, ALAC_FRAME_SAMPLES = 0.12, 4096
"""Of codecs for which FFmpeg states no frame size before it has decoded."""


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
        self._recordings += 1
        self._has_clock = self._has_clock and rules.has_times
        tick = float(stream.time_base or 0)
        longest = _longest_packet(stream)
        latest, discontinuity = rules.longest_seconds, rules.discontinuity_seconds
        span = self._ranges[-1] if self._ranges else None
        end = 0.0
        errors = 0
        packets = container.demux(stream)
        # Fifty times for each second of sound: no calls, and little but local names.
        while errors <= MAX_ERRORS:
            try:
                packet = next(packets, None)
            except (FFmpegError, IndexError):
                errors += 1
                packets = container.demux(stream)
                continue
            if packet is None:
                return
            if not packet.size or packet.is_discard:
                continue
            errors = 0
            seconds = (packet.duration or 0) * tick
            if seconds > longest:
                seconds = longest
            pts = packet.pts
            start = end if pts is None else pts * tick - origin
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

    def result(self) -> PacketTimes:
        """What was counted."""
        has_clock = self._has_clock and self._recordings == 1
        ranges = tuple((first, last) for first, last in self._ranges) if has_clock else None
        return PacketTimes(self.packets, self.seconds, ranges)


def _longest_packet(stream: AudioStream) -> float:
    context = stream.codec_context
    if context.name in ("opus", "libopus"):
        return LONGEST_OPUS_SECONDS
    if context.name == "alac" and context.sample_rate:
        return max(LONGEST_FRAME_SECONDS, ALAC_FRAME_SAMPLES / context.sample_rate)
    if not context.frame_size or not context.sample_rate:
        return LONGEST_PACKET_SECONDS
    return max(LONGEST_FRAME_SECONDS, 2 * context.frame_size / context.sample_rate)
