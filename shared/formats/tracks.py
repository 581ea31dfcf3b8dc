"""Audio tracks: which there are in a file, and which of them is transcribed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.errors import Rejected, shortened
from shared.formats.languages import language_code

ALL_TRACKS = "all"
"""The request for every track, mixed into one recording."""

MAX_LISTED_TRACKS = 64
"""Most tracks that are listed; films have a dozen, and a message has to stay small."""

MAX_TITLE_CHARACTERS = 200
MAX_LANGUAGE_CHARACTERS = 35
"""Of what a file says of a track: whoever made it may have written megabytes, which records and messages would carry.
35: BCP 47, longest tag that programs need to keep."""


def _at_most(characters: int) -> BeforeValidator:
    return BeforeValidator(lambda text: shortened(text, characters) if isinstance(text, str) else text)


RequestedTrack = Annotated[int, Field(ge=1)] | str
"""A track's number, a language tag, or ALL_TRACKS."""


class AudioTrack(BaseModel):
    """One audio stream of a file, as its header describes it."""

    model_config = ConfigDict(frozen=True)

    number: Annotated[int, Field(ge=1)]
    """Its place among the file's audio tracks, from 1: what `transcribe-track` takes."""
    index: Annotated[int, Field(ge=0)]
    """FFmpeg's stream index, which counts all streams from 0."""
    codec: str
    """FFmpeg's name, for example `aac`."""
    language: Annotated[str | None, _at_most(MAX_LANGUAGE_CHARACTERS)] = None
    """As the file has it, for example `ger`; None where it says nothing."""
    title: Annotated[str | None, _at_most(MAX_TITLE_CHARACTERS)] = None
    channels: Annotated[int, Field(ge=0)] = 0
    sample_rate_hz: Annotated[int, Field(ge=0)] = 0
    """Both 0 where the header does not say."""
    is_default: bool = False
    """Marked by the file as the one to play."""
    is_secondary: bool = False
    """Marked as commentary, audio description, or a version for hearing-impaired people."""
    is_readable: bool = True
    """There is a decoder for its codec."""

    @property
    def label(self) -> str:
        """For a person, for example `2 (ger, "Commentary", aac)`."""
        about = [self.language, f'"{self.title}"' if self.title else None, self.codec]
        return f"{self.number} ({', '.join(part for part in about if part)})"


class TranscriptTrack(AudioTrack):
    """A track of a file that was transcribed."""

    is_heard: bool
    """Whether the words are this track's."""


def chosen_track(tracks: Sequence[AudioTrack], requested: RequestedTrack | None = None) -> AudioTrack:
    """The track to transcribe; of ALL_TRACKS, the one that is described.

    Without a request, or where several have the language: one that can be read, is no commentary or the like and is
    marked as the default, and of these the first. `tracks` is not empty. Raises Rejected where there is no such track.
    """
    candidates = tracks
    if isinstance(requested, int):
        candidates = [track for track in tracks if track.number == requested]
    elif requested is not None and requested != ALL_TRACKS:
        candidates = [
            track for track in tracks if track.language and language_code(track.language) == language_code(requested)
        ]
    if not candidates:
        there = ", ".join(track.label for track in tracks)
        raise Rejected(f"The file has no audio track {requested!r}, as its transcribe-track says; it has {there}.")
    return min(
        candidates,
        key=lambda track: (not track.is_readable, track.is_secondary, not track.is_default, track.index),
    )
