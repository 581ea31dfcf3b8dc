"""Decoded frames: FFmpeg's own, and those of decoders that give samples as the output has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

from av.audio.frame import AudioFrame

OUTPUT_RATE = 16_000
"""Frames per second of the output."""


class SoundFormat(NamedTuple):
    """What a stretch has throughout."""

    rate: int
    sample_format: str
    layout: str
    """FFmpeg's description, for example `stereo` or `6 channels`."""
    channels: int


@dataclass(slots=True, eq=False)
class OutputFrame:
    """Samples that need no resampling: interleaved float32 at OUTPUT_RATE. Not frozen: there are fifty a second, and a
    frozen one takes three times as long to make."""

    sample_rate: ClassVar[int] = OUTPUT_RATE
    """As an AudioFrame's."""

    data: bytes
    samples: int
    """Of each channel."""
    pts: int | None
    """In ticks of the stream, as an AudioFrame's."""
    format: SoundFormat


Frame: TypeAlias = AudioFrame | OutputFrame

_NAMES = {"mono": ("FC",), "stereo": ("FL", "FR")}
"""Of the layouts that an OutputFrame may have."""


def format_of(frame: Frame) -> SoundFormat:
    """A decoded frame's format."""
    if isinstance(frame, OutputFrame):
        return frame.format
    layout = frame.layout
    return SoundFormat(frame.sample_rate, frame.format.name, layout.name, layout.nb_channels)


def channel_names(frame: Frame) -> tuple[str, ...] | None:
    """FFmpeg's name of each channel; None where the file does not state a layout."""
    if isinstance(frame, OutputFrame):
        return _NAMES[frame.format.layout]
    names = tuple(channel.name for channel in frame.layout.channels)
    return None if not names or "NONE" in names or len(names) != frame.layout.nb_channels else names
