"""How long the sound of a file is to a decoder that is shown it with patches."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av

from trigger_function.inspection.overlay import Overlay
from trigger_function.inspection.ranged_reader import RandomAccess, RangedReader


class BytesFile(RandomAccess):
    """Bytes as inspection and decoder read a file."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data

    def read_at(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


def decoded_seconds(file: RandomAccess, patches: Mapping[int, bytes] | None = None) -> float:
    """Seconds of the first audio stream, each frame by its own sample rate; 0 where FFmpeg opens nothing."""
    shown = Overlay(file, patches) if patches else file
    try:
        with av.open(io.BytesIO(shown.read_at(0, shown.size)), metadata_errors="replace") as container:
            return sum(frame.samples / frame.sample_rate for frame in container.decode(container.streams.audio[0]))
    except av.FFmpegError:
        return 0.0


def last_packet_seconds(file: RangedReader, patches: Mapping[int, bytes], near_seconds: float) -> float:
    """End of the last packet, of a file too large to be decoded: from shortly before its end on."""
    with av.open(Overlay(file, patches), metadata_errors="replace") as container:
        stream = container.streams.audio[0]
        assert stream.time_base is not None
        container.seek(int(near_seconds / stream.time_base), stream=stream)
        ends = [packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None]
        return float(max(ends) * stream.time_base)
