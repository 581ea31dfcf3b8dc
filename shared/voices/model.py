"""What a voice is: one speaker's of one recording, and a person's whom a deployment knows by name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.options.speaker_names import SpeakerName

MOST_VOICES = 200
"""In a folder: each of them is compared with each speaker, and all are read for each upload."""

MOST_SAMPLES = 10
"""Of a voice: recordings that it was heard in."""

_Embedding = Annotated[
    tuple[Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)], ...], Field(min_length=1, max_length=1024)
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Voice(_Frozen):
    """What one speaker of one recording sounds like."""

    model: Annotated[str, Field(min_length=1, max_length=100)]
    """Name and version of the network: embeddings of two networks are not compared."""
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Speech that it was heard in, where nobody else spoke."""
    embedding: _Embedding = Field(repr=False)
    """Of length 1."""


class JobSpeaker(_Frozen):
    """A speaker of a job, as its transcript numbers and names them."""

    number: Annotated[int, Field(ge=0)]
    name: str
    voice: Voice


class JobVoices(_Frozen):
    """The voices of a job's speakers; those who hardly speak alone have none."""

    schema_version: Literal[1] = 1
    run: Annotated[int, Field(ge=1)] = 1
    """The job's run whose transcript has these numbers."""
    folder: str
    """Whose voices they were compared with, and may be added to."""
    speakers: tuple[JobSpeaker, ...] = ()

    def speaker(self, number: int) -> JobSpeaker | None:
        """The speaker of this number; None where there is none, or no voice of theirs."""
        return next((one for one in self.speakers if one.number == number), None)


class VoiceSample(Voice):
    """A voice in one recording, and which one that was."""

    job_id: Annotated[str, Field(min_length=1, max_length=100)]
    speaker: Annotated[int, Field(ge=0)]
    added_at: datetime


class KeptVoice(_Frozen):
    """A person whom later recordings are compared with."""

    name: SpeakerName
    samples: Annotated[tuple[VoiceSample, ...], Field(min_length=1, max_length=MOST_SAMPLES)]

    @property
    def seconds(self) -> float:
        """Speech that it was heard in."""
        return sum(sample.seconds for sample in self.samples)


class VoiceFolder(_Frozen):
    """The kept voices of a folder, each name once."""

    schema_version: Literal[1] = 1
    folder: str
    voices: Annotated[tuple[KeptVoice, ...], Field(max_length=MOST_VOICES)] = ()

    def voice(self, name: str) -> KeptVoice | None:
        """The voice of this name."""
        return next((one for one in self.voices if one.name == name), None)
