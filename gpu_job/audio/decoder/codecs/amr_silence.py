"""AMR's frames of silence: telephones send them in pauses instead of sound (DTX), and FFmpeg's decoder refuses them."""

from __future__ import annotations

from dataclasses import dataclass

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

_FRAME_SECONDS = 0.02


@dataclass(frozen=True)
class AmrSilence:
    """Of one of the two codecs."""

    types: frozenset[int]
    rate: int

    def frame(self, packet: Packet[AudioStream]) -> AudioFrame | None:
        """What a packet of no sound stands for; None for any other one."""
        if not packet.size or memoryview(packet)[0] >> 3 & 0x0F not in self.types:
            return None
        frame = AudioFrame(format="fltp", layout="mono", samples=round(_FRAME_SECONDS * self.rate))
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = self.rate, packet.pts
        return frame


def silence_of(codec: str) -> AmrSilence | None:
    """By FFmpeg's decoder; None for all that are decoders of something else."""
    return _SILENCES.get(codec)


_SILENCES = {
    "amrnb": AmrSilence(frozenset({8, 9, 10, 11, 15}), 8_000),
    "amrwb": AmrSilence(frozenset({9, 14, 15}), 16_000),
}
"""Comfort noise, of other systems too, lost frames, and no data (3GPP TS 26.101 and 26.201)."""
