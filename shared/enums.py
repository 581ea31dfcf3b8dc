"""The closed sets of words that function, job, messages and reports share."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """What routing decided for an upload."""

    PARAKEET = "parakeet"
    HYBRID = "hybrid"
    DEEPGRAM = "deepgram"


class JobDevice(StrEnum):
    """What the instances of one of a deployment's Cloud Run jobs compute on. Each job has a queue of its own."""

    GPU = "gpu"
    CPU = "cpu"


class Engine(StrEnum):
    """What turned a stretch of audio into words."""

    PARAKEET_GPU = "parakeet-gpu"
    PARAKEET_CPU = "parakeet-cpu"
    DEEPGRAM = "deepgram"


class Outcome(StrEnum):
    """How a job ended. A partial text is never `completed`."""

    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    FAILED = "failed"
    REJECTED = "rejected"


class ResultFormat(StrEnum):
    """The files that are made of transcript.json, which itself is stored in any case."""

    DEEPGRAM = "deepgram.json"
    WORDS = "words.csv"
    PARAGRAPHS = "paragraphs.csv"
    SRT = "transcript.srt"
    VTT = "transcript.vtt"
    TXT = "transcript.txt"
    HTML = "transcript.html"


class Channels(StrEnum):
    """How an upload's channels are transcribed."""

    MIX = "mix"
    """Mixed into one."""
    SPLIT = "split"
    """Each by itself, as one speaker."""


class Privacy(StrEnum):
    """Where an upload may go."""

    ANY = "any"
    """To every engine of the deployment."""
    LOCAL = "local"
    """Only to the deployment's own engines, whatever fails."""
