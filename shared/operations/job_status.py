"""How far a job is, for people and programs that ask: state, stage, progress, time left, decision, bill."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.costs.bill import Bill
from shared.enums import Engine
from shared.errors import FailureKind
from shared.media import Media, Upload
from shared.messages import CoverageSummary, Decision, Saving, TerminalMessage
from shared.progress.model import Progress, Stage
from shared.state.jobs.progress import progress_of
from shared.state.jobs.record import JobRecord, JobState
from shared.state.jobs.shard_record import BegunShard
from shared.state.jobs.shards import ShardsProgress, shards_progress
from shared.state.jobs.store import JobStore
from shared.transcript.model import TranscriptWarning


class State(StrEnum):
    """How far a job is. The last four are outcomes, and final but for re-runs."""

    ACCEPTED = "accepted"
    """It was submitted, and its event has not arrived yet."""
    CLAIMED = "claimed"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_GAPS = "completed_with_gaps"
    FAILED = "failed"
    REJECTED = "rejected"


class JobProgress(BaseModel):
    """How far a job is, with all its shards, while it has no outcome."""

    model_config = ConfigDict(frozen=True)

    audio_seconds: float
    decoded_seconds: float
    transcribed_seconds: float
    share: Annotated[float, Field(ge=0, le=1)]
    """Of the audio that is transcribed."""
    x_real_time: float | None = None
    """Audio that is transcribed in a second, as measured in the last minute."""
    executions: int = 0
    """Workers that have it, or a shard of it."""
    shards: int = 0
    """Into how many parts it is divided; 0: it is not."""
    shards_done: int = 0


class JobStatus(BaseModel):
    """A job as it stands. What is not known yet is null."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    run: int = 1
    upload: Upload
    state: State
    stage: Stage
    video_id: str | None = None
    """What the upload's owner calls the recording."""
    received_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expected_at: datetime | None = None
    """When the transcript is expected, while there is none."""
    progress: JobProgress | None = None
    media: Media | None = None
    decision: Decision | None = None
    attempts: int = 0
    last_error: str | None = None
    """Why the last attempt ended, in one sentence, while the job goes on."""
    reason: str | None = None
    """Why there is no transcript, or no whole one, in one sentence."""
    failure_kind: FailureKind | None = None
    engines: tuple[Engine, ...] = ()
    model: str | None = None
    word_count: int | None = None
    coverage: CoverageSummary | None = None
    warnings: tuple[TranscriptWarning, ...] = ()
    results: tuple[str, ...] = ()
    """Names of its files."""
    bill: Bill = Bill()
    """Of this run; of one that has not ended, what was spent by now."""
    earlier_usd: float = 0.0
    """What the runs before cost."""
    saving: Saving | None = None


def read_status(jobs: JobStore, job_id: str, at: datetime) -> JobStatus | None:
    """Read a job's record, its outcome where it has one, and the records of its shards. None: there is no record.

    Raises ValidationError, and what the storage client raises.
    """
    job = jobs.find(job_id)
    if job is None:
        return None
    record = job.record
    outcome = jobs.outcome(job_id, record.run)
    if outcome is not None:
        return ended_status(outcome, attempts=record.attempts, video_id=record.options.video_id)
    return open_status(record, shards_progress(jobs, record) if record.shards else ShardsProgress(), at)


def accepted_status(upload: Upload, accepted_at: datetime | None) -> JobStatus:
    """Of an upload whose event has not arrived yet."""
    return JobStatus(
        job_id=upload.job_id, upload=upload, state=State.ACCEPTED, stage=Stage.ACCEPTED, received_at=accepted_at
    )


def ended_status(outcome: TerminalMessage, attempts: int = 0, video_id: str | None = None) -> JobStatus:
    """Of a job that has ended."""
    return JobStatus(
        job_id=outcome.job_id,
        run=outcome.run,
        upload=outcome.upload,
        state=State(outcome.outcome.value),
        stage=Stage.DONE,
        video_id=video_id,
        received_at=outcome.received_at,
        finished_at=outcome.finished_at,
        started_at=outcome.finished_at - timedelta(seconds=outcome.work_seconds),
        media=outcome.media,
        decision=outcome.decision,
        attempts=attempts,
        reason=outcome.reason,
        failure_kind=outcome.failure_kind,
        engines=outcome.engines,
        model=outcome.model,
        word_count=outcome.word_count if outcome.coverage is not None else None,
        coverage=outcome.coverage,
        warnings=outcome.warnings,
        results=tuple(outcome.results),
        bill=outcome.bill,
        earlier_usd=outcome.earlier_usd,
        saving=outcome.saving,
    )


def open_status(record: JobRecord, shards: ShardsProgress, at: datetime) -> JobStatus:
    """Of a job that has not ended."""
    records = {number: one.record for number, one in shards.records.items()}
    begun = {number: BegunShard.model_validate(one, from_attributes=True) for number, one in records.items()}
    progress = progress_of(record, begun, at)
    running = record.state is JobState.RUNNING or shards.is_alive
    state = State.RUNNING if running else State(record.state.value)
    return JobStatus(
        job_id=record.upload.job_id,
        run=record.run,
        upload=record.upload,
        state=state,
        stage=progress.stage,
        video_id=record.options.video_id,
        received_at=record.received_at,
        started_at=shards.started_at or record.started_at,
        expected_at=progress.expected_at,
        progress=_job_progress(progress),
        media=record.media,
        decision=record.decision,
        attempts=record.attempts,
        last_error=record.last_error,
        bill=record.spent + shards.spent,
        earlier_usd=record.earlier_usd,
    )


def _job_progress(progress: Progress) -> JobProgress | None:
    audio = progress.audio_seconds
    if audio is None:
        return None
    # The header's length may be an estimate, and what is transcribed longer than it.
    audio = max(audio, progress.transcribed_seconds)
    return JobProgress(
        audio_seconds=audio,
        decoded_seconds=progress.decoded * audio,
        transcribed_seconds=progress.transcribed_seconds,
        share=progress.transcribed,
        x_real_time=progress.x_real_time,
        executions=progress.executions,
        shards=progress.shards,
        shards_done=progress.shards_done,
    )
