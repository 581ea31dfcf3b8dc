"""What travels on Pub/Sub: work items to the job, and one terminal message per upload to subscribers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from shared.costs.bill import Bill
from shared.costs.quote import Quote, way_label
from shared.enums import Engine, JobDevice, Method, Outcome
from shared.errors import FailureKind, shortened
from shared.formats.tracks import TranscriptTrack
from shared.media import Media, Upload
from shared.options.model import UploadOptions
from shared.transcript.model import Coverage, Gap, TranscriptWarning
from shared.transcript.words import Seconds


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1


class Decision(BaseModel):
    """What routing decided, the rule that decided, and why in one sentence."""

    model_config = ConfigDict(frozen=True)

    method: Method
    rule: str
    reason: str
    device: JobDevice | None = None
    """Of the job whose queue the upload joins; None: Deepgram alone."""
    quotes: tuple[Quote, ...] = ()
    """Every method's, Parakeet's for each job, with the limits that it would pass."""

    @property
    def quote(self) -> Quote | None:
        """What was predicted for the method and the job that were decided."""
        return next((quote for quote in self.quotes if self.takes(quote)), None)

    def takes(self, quote: Quote) -> bool:
        """Whether this is the quote of what was decided."""
        return quote.method is self.method and (self.device is None or quote.device is self.device)

    @property
    def label(self) -> str:
        """For people: `parakeet on the CPU`, `deepgram`."""
        return way_label(self.method, self.device)


class UnclaimedRecord(BaseModel):
    """What the record of a job that no worker had says beside its work item: with it the first one claims the job
    without reading anything. Who takes or ends the job otherwise writes the record first, which then has another
    generation."""

    model_config = ConfigDict(frozen=True)

    generation: int
    """Of the record's object."""
    received_at: datetime
    queued_at: datetime | None = None
    gather_until: datetime | None = None
    traceparent: str | None = None


class WorkItem(_Message):
    """Puts one upload, or one shard of it, on the job's queue."""

    job_id: str
    """The upload's: objects are named by it."""
    upload: Upload
    media: Media
    decision: Decision
    options: UploadOptions = UploadOptions()
    shard: int | None = None
    """The number of the shard, as the job's record has it; None: the whole upload."""
    unclaimed: UnclaimedRecord | None = None
    """None: some attempt, or some engine, had the job before, or it is divided."""

    @model_validator(mode="after")
    def _is_the_uploads_job(self) -> Self:
        if self.job_id != self.upload.job_id:
            raise ValueError("the job is not the upload's")
        return self


class Saving(BaseModel):
    """The same file at Deepgram's price, beside what it cost here."""

    model_config = ConfigDict(frozen=True)

    deepgram_model: str
    deepgram_usd: Annotated[float, Field(ge=0)]
    bill_usd: Annotated[float, Field(ge=0)]

    @computed_field
    @property
    def usd(self) -> float:
        """Dollars saved; negative where Deepgram would have been cheaper."""
        return self.deepgram_usd - self.bill_usd

    @computed_field
    @property
    def share(self) -> float:
        """Saved share of Deepgram's price; at most 1, negative where Deepgram would have been cheaper."""
        return self.usd / self.deepgram_usd if self.deepgram_usd > 0 else 0.0


MAX_MESSAGE_GAPS = 100
MAX_GAP_REASON_CHARACTERS = 500
"""Of each gap in a message. Pub/Sub takes 10 MB; a message with all this stays under 1 MB, whatever the transcript."""


class CoverageSummary(Coverage):
    """A transcript's coverage with its first gaps only; transcript.json and receipt.json have all of them."""

    gaps: Annotated[tuple[Gap, ...], Field(max_length=MAX_MESSAGE_GAPS)] = ()
    gap_count: Annotated[int, Field(ge=0)]
    """How many gaps there are in all."""
    gap_seconds: Seconds
    """Sum of all gaps."""

    @classmethod
    def of(cls, coverage: Coverage) -> CoverageSummary:
        """Leave out the gaps, and the ends of their reasons, that are too many for a message."""
        first = coverage.gaps[:MAX_MESSAGE_GAPS]
        return cls(
            speech_seconds=coverage.speech_seconds,
            covered_seconds=coverage.covered_seconds,
            gaps=tuple(
                Gap(start=gap.start, end=gap.end, reason=shortened(gap.reason, MAX_GAP_REASON_CHARACTERS))
                for gap in first
            ),
            audited=coverage.audited,
            dropped_words=coverage.dropped_words,
            repaired_seconds=coverage.repaired_seconds,
            gap_count=len(coverage.gaps),
            gap_seconds=sum(gap.end - gap.start for gap in coverage.gaps),
        )


class TerminalMessage(_Message):
    """How one upload ended: exactly one per generation, recognisable by `event_id` when delivered twice."""

    event_id: str
    """Stable for the run of a job: a redelivered or republished message carries the same one."""
    job_id: str
    run: Annotated[int, Field(ge=1)] = 1
    """Above 1: the job was run again, and this takes the place of the message before."""
    upload: Upload
    outcome: Outcome
    reason: str | None = None
    """Why there is no transcript, or no whole one, in one sentence for a person."""
    failure_kind: FailureKind | None = None
    decision: Decision | None = None
    media: Media | None = None
    engines: tuple[Engine, ...] = ()
    fallbacks: Annotated[int, Field(ge=0)] = 0
    """Chunks that another engine than the first had to do, after that one failed."""
    model: str | None = None
    languages: tuple[str, ...] = ()
    """BCP 47 tags of what is spoken, the one with most of the words first; empty where there is no transcript."""
    tracks: tuple[TranscriptTrack, ...] = ()
    """The file's audio tracks, and which of them was transcribed; empty where there is no transcript."""
    warnings: tuple[TranscriptWarning, ...] = ()
    """What the reader of the transcript should know, though nothing failed."""
    redact: tuple[str, ...] = ()
    """What was to be redacted in the transcript."""
    word_count: Annotated[int, Field(ge=0)] = 0
    coverage: CoverageSummary | None = None
    results: Mapping[str, str] = Field(default_factory=dict)
    """File name -> `gs://` address."""
    bill: Bill = Bill()
    """Of this run alone."""
    earlier_usd: Annotated[float, Field(ge=0)] = 0.0
    """What the job's runs before cost, which are on their own messages."""
    saving: Saving | None = None
    execution: str | None = None
    """The Cloud Run execution whose time is on the bill."""
    received_at: datetime
    finished_at: datetime
    wait_seconds: Annotated[float, Field(ge=0)] = 0.0
    """From the event to the start of the work."""
    work_seconds: Annotated[float, Field(ge=0)] = 0.0
    """From the start of the work to the terminal outcome."""

    def attributes(self) -> dict[str, str]:
        """Pub/Sub attributes, for subscription filters."""
        return {
            "event_id": self.event_id,
            "job_id": self.job_id,
            "outcome": self.outcome.value,
            "method": self.decision.method.value if self.decision else "none",
            "bucket": self.upload.bucket,
            "schema_version": str(self.schema_version),
        }


class Receipt(_Message):
    """What one job cost and saved; stored beside its transcript."""

    job_id: str
    run: Annotated[int, Field(ge=1)] = 1
    upload: Upload
    outcome: Outcome
    decision: Decision | None
    duration_seconds: Annotated[float, Field(ge=0)] | None
    engines: tuple[Engine, ...]
    fallbacks: Annotated[int, Field(ge=0)] = 0
    """Chunks that another engine than the first had to do, after that one failed."""
    coverage: Coverage | None
    bill: Bill
    """Of this run alone."""
    earlier_usd: Annotated[float, Field(ge=0)] = 0.0
    """What the job's runs before cost, which have receipts of their own."""
    saving: Saving | None
    execution: str | None
    """The Cloud Run execution whose time is on the bill."""


def event_id(job_id: str, run: int = 1) -> str:
    """The stable identity of the terminal message of a job's run."""
    return f"{job_id}-terminal" if run == 1 else f"{job_id}-terminal-{run}"
