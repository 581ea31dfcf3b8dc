"""The upload: one object generation, and the identity of the job that works on it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.formats.tracks import AudioTrack, TranscriptTrack
from shared.object_names import name_problem


def _object_name(name: str) -> str:
    if (problem := name_problem(name)) is not None:
        raise ValueError(f"no object has this name: {problem}")
    return name


class Upload(BaseModel):
    """One generation of one object in the uploads bucket."""

    model_config = ConfigDict(frozen=True)

    bucket: Annotated[str, Field(min_length=3, max_length=222)]
    name: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_object_name)]
    generation: Annotated[int, Field(gt=0)]

    @property
    def uri(self) -> str:
        """`gs://bucket/name#generation`, the way gcloud writes a generation."""
        return f"gs://{self.bucket}/{self.name}#{self.generation}"

    @property
    def job_id(self) -> str:
        """24 hex digits, equal for every event about this generation, safe in object names and log queries."""
        key = "\0".join((self.bucket, self.name, str(self.generation)))
        return hashlib.sha256(key.encode()).hexdigest()[:24]


class Media(BaseModel):
    """What inspection learned of an upload without decoding it.

    Codec, sample rate, channels and length are those of `track`.
    """

    model_config = ConfigDict(frozen=True)

    container: str
    """Demuxer name, for example `mov,mp4,m4a,3gp,3g2,mj2`."""
    codec: str
    """Audio codec name, for example `aac`."""
    duration_seconds: Annotated[float, Field(gt=0)]
    duration_is_estimate: bool = False
    """True where part of the length was extrapolated, by byte rate or past the end of a cut file."""
    promised_seconds: Annotated[float, Field(gt=0)] | None = None
    """Length by the header, where that is exact; None where the file promises none. What is missing of it is a gap."""
    sample_rate_hz: Annotated[int, Field(gt=0)]
    channels: Annotated[int, Field(gt=0)]
    size_bytes: Annotated[int, Field(gt=0)]
    has_video: bool = False
    has_wrong_header: bool = False
    """Its header states sizes that hide sound, or junk stands before it: only the job's decoder reads all of it."""
    tracks: tuple[AudioTrack, ...] = ()
    """Every audio track of the file; empty where inspection did not list them."""
    track: Annotated[int, Field(ge=0)] = 0
    """FFmpeg's index of the stream that is to be transcribed."""
    mixes_tracks: bool = False
    """All audio tracks are to be transcribed, mixed into one recording; it lasts as long as the longest."""

    def transcript_tracks(self, transcribed: Collection[int] | None = None) -> tuple[TranscriptTrack, ...]:
        """The file's tracks as a transcript lists them. `transcribed`: stream indexes; None: as decided."""
        if transcribed is None:
            transcribed = (
                [track.index for track in self.tracks if track.is_readable] if self.mixes_tracks else [self.track]
            )
        return tuple(TranscriptTrack(**dict(track), is_heard=track.index in transcribed) for track in self.tracks)


# Lists of other files (HLS, concat, DASH, SDP) must never join.
DEMUXERS = (
    "aac", "ac3", "act", "aea", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "avr", "caf", "dhav", "dsf",
    "dss", "dts", "dtshd", "dv", "eac3", "flac", "flv", "gsm", "gxf", "iff", "ircam", "ivr", "loas", "matroska", "mlp",
    "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "mxf", "nistsphere", "nsv", "nut", "nuv", "ogg", "oma", "pva", "pvf",
    "qcp", "rm", "shn", "sox", "spdif", "tak", "truehd", "tta", "voc", "vqf", "w64", "wav", "wsd", "wtv", "wv", "xwma",
)  # fmt: skip
"""ffmpeg's names; inspection and decoding know the same ones. docs/formats.md lists what they are."""
