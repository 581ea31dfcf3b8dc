"""What all files share that are transcribed by one process, and what is known and wanted of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from opentelemetry.trace import INVALID_SPAN, Span

from gpu_job.asr.recognizer import SpeechModel
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audit.queries import AuditRules
from gpu_job.audit.runner import Detector
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.speech_models import SpeechModels
from gpu_job.speakers.diarizer import BuiltInModel
from gpu_job.speakers.stage import SpeakerModel
from gpu_job.transcription.chunk_results import StoredResults
from gpu_job.transcription.language_guard import GuardRules
from gpu_job.transcription.opinions.second_opinions import OpinionLimits
from gpu_job.transcription.shards.joined import StoredShards
from shared.costs.shard_plan import Shard
from shared.languages.trial import TRIAL_SECONDS
from shared.media import Media
from shared.options.model import NOTHING_ASKED, UploadOptions
from shared.transcript.quality import LOW_CONFIDENCE

AUDIT_THREADS = 2
"""Threads that run the speech detector; its network runs outside the interpreter's lock."""


@dataclass(frozen=True)
class PipelineOptions:
    """How files become transcripts. The defaults are a deployment's."""

    language: str = "en"
    """Of uploads that bring none, as LANGUAGE has it: a BCP 47 tag, several, or `auto`."""
    speech_models: SpeechModels | None = None
    """Which model hears which upload; None: the engine's own hears all."""
    low_confidence: float = LOW_CONFIDENCE
    """Mean confidence of the words below which the transcript has a warning."""
    cuts: CutRules = field(default_factory=lambda: CutRules(max_seconds=30.0))
    """Where chunks are cut; CHUNK_SECONDS of docs/configuration.md."""
    audit: AuditRules | None = field(default_factory=AuditRules)
    """None: no audit; the transcript's coverage then says `audited: false`."""
    decoding: DecodeOptions = field(default_factory=DecodeOptions)
    """Limits and number of the decoders; what concerns one file only is set for each."""
    trial_seconds: float = TRIAL_SECONDS
    """Speech by which it is decided which model hears a file of whose language little is known; 0: none."""
    guard: GuardRules | None = field(default_factory=GuardRules)
    """How much is heard again because of its language; None: nothing."""
    warm_up_seconds: int = 600
    """Before a shard's range, from where on a file is decoded that can be begun anywhere: where the range begins, cuts
    are those of the whole recording by then, and the decoders have been compared a few times."""


@dataclass(frozen=True)
class Pipeline:
    """What all files share: the engines, the speech detector and its threads, and the options."""

    engines: EngineChain
    options: PipelineOptions
    detector: Detector
    audit_threads: Executor
    speakers: SpeakerModel = field(default_factory=BuiltInModel)
    """Loaded with the first file whose speakers are asked for; they are heard on the audit's threads."""


def _nothing_is_missing(start: float) -> str | None:
    return None


@dataclass(frozen=True)
class FileRequest:
    """What is known of one file, and wanted of it."""

    media: Media | None = None
    """What inspection found."""
    asked: UploadOptions = NOTHING_ASKED
    """What the upload's owner wants."""
    stays_local: bool = False
    """Whether no audio may be sent to an API."""
    stored: StoredResults = field(default_factory=dict)
    """Results of an earlier attempt, or of the file's shards: such chunks are not submitted again."""
    shard: Shard | None = None
    """Only chunks that begin in it are transcribed and audited, and there is no transcript; None: the whole file."""
    shards: StoredShards | None = None
    """What else the file's shards found: where that is all there is to know, the file is not decoded again."""
    missing: Callable[[float], str | None] = _nothing_is_missing
    """Why a chunk that begins at this time, in seconds, and is not stored, is not transcribed either; None: it is."""
    span: Span = INVALID_SPAN
    """Around this attempt."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set, it ends the transcription as `FileTranscription.cancel` does."""
    opinions: OpinionLimits | None = None
    """How much of what an engine was not sure of, or had no words for, another one may hear; None: nothing."""
    model: SpeechModel | None = None
    """What it is heard with; None: by its language."""
