"""The audio tracks of a file that PyAV has opened, for inspection and the job's decoder: both choose alike."""

from __future__ import annotations

import re

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from shared.formats.av_description import described
from shared.formats.tracks import MAX_LISTED_TRACKS, AudioTrack

MAX_TITLE_CHARACTERS = 200

_SECONDARY = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.hearing_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.clean_effects
    | Disposition.attached_pic
)

_CODEC_IN_DUMP = r"^ *Stream #0:{index}\b[^\n]*?: Audio: (\w+)"
"""A line of FFmpeg's description of a file; the only place where PyAV shows the name of a codec without decoder."""


def audio_tracks(container: InputContainer) -> tuple[AudioTrack, ...]:
    """The container's audio streams in their order, at most MAX_LISTED_TRACKS."""
    streams = container.streams.audio[:MAX_LISTED_TRACKS]
    return tuple(_track(container, number, stream) for number, stream in enumerate(streams, 1))


def _track(container: InputContainer, number: int, stream: AudioStream) -> AudioTrack:
    # PyAV has no context for a stream without decoder, whatever its type stub says.
    codec = stream.codec_context or None
    language = stream.metadata.get("language", "")
    return AudioTrack(
        number=number,
        index=stream.index,
        codec=codec.codec.canonical_name if codec else _codec_without_decoder(container, stream.index),
        language=language if language and language != "und" else None,
        title=stream.metadata.get("title", "")[:MAX_TITLE_CHARACTERS] or None,
        channels=codec.channels if codec else 0,
        sample_rate_hz=codec.sample_rate if codec else 0,
        is_default=bool(stream.disposition & Disposition.default),
        is_secondary=bool(stream.disposition & _SECONDARY),
        is_readable=codec is not None,
    )


def _codec_without_decoder(container: InputContainer, index: int) -> str:
    found = re.search(_CODEC_IN_DUMP.format(index=index), described(container), re.MULTILINE)
    return found[1] if found and found[1] != "none" else "unknown"
