"""AMR's frames of silence: telephones send them in pauses instead of sound (DTX), and FFmpeg's decoder refuses them."""

from __future__ import annotations

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

_SILENCE_TYPES = {"amrnb": frozenset({8, 9, 10, 11, 15}), "amrwb": frozenset({9, 14, 15})}
"""By FFmpeg's decoder: comfort noise, of other systems too, lost frames, and no data (3GPP TS 26.101 and 26.201)."""

_FRAME_SECONDS = 0.02


def silent_frame(packet: Packet[AudioStream], stream: AudioStream) -> AudioFrame | None:
    """What a packet of no sound stands for; None for any other one."""
    types = _SILENCE_TYPES.get(stream.codec_context.name)
    if types is None or not packet.size or memoryview(packet)[0] >> 3 & 0x0F not in types:
        return None
    rate = 16_000 if stream.codec_context.name == "amrwb" else 8_000
    frame = AudioFrame(format="fltp", layout="mono", samples=round(_FRAME_SECONDS * rate))
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts = rate, packet.pts
    return frame
