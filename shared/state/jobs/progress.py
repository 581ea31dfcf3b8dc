"""How far a job is, from what the state bucket has of it: no object is written for progress alone.

A worker's heartbeat renews the claim in the job's record every HEARTBEAT_SECONDS and writes there how far it is, so
progress costs no call to storage, is erased with the job, and an upload that is done before the first beat writes none.
A shard's record has it in its object's metadata, too: one listing reads all shards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from shared.clock import now
from shared.enums import Method
from shared.progress.model import Progress, Stage, progress_of_outcome
from shared.state.jobs.record import JobRecord, JobState
from shared.state.jobs.shard_record import BegunShard
from shared.state.jobs.store import JobStore

ALL_BUT_ROUNDING = 0.999
"""Share of a file's stated length: chunks end at whole samples."""


def read_progress(jobs: JobStore, job_id: str) -> Progress | None:
    """How far a job's newest run is; None where there is no such job.

    Two reads, and of a divided upload a listing: poll it no more than once in a few seconds. `describe` of
    `shared/progress/describe.py` has it in words. Raises what the storage client raises, and ValidationError for
    a record that is none.
    """
    job = jobs.find(job_id)
    if job is None:
        return None
    record = job.record
    if (outcome := jobs.outcome(job_id, record.run)) is not None:
        return progress_of_outcome(outcome)
    return current_progress(jobs, record)


def current_progress(jobs: JobStore, record: JobRecord) -> Progress:
    """How far a job without an outcome is, by its record; where it is divided, by a listing of its shards, too."""
    return progress_of(record, jobs.begun_shards(record) if record.shards else {})


def progress_of(
    record: JobRecord, shards: Mapping[int, BegunShard] | None = None, at: datetime | None = None
) -> Progress:
    """How far a job without an outcome is, by its record and those of its shards that were begun. Pure.

    `at`: now, by default."""
    at = at or now()
    works = _works(record, shards or {})
    seconds = record.media.duration_seconds if record.media else None
    is_dividing = bool(record.shards) and record.state is JobState.QUEUED
    decoded, transcribed = _done_seconds(record, shards or {}, seconds or 0.0)
    alive = [one for one in works if one.state is JobState.RUNNING and one.lease_until > at]
    done = sum(one.state is JobState.DONE for one in works) if is_dividing else len(record.shards)
    speed = sum(one.x_real_time or 0.0 for one in alive) or None
    progress = Progress(
        job_id=record.upload.job_id,
        run=record.run,
        upload=record.upload,
        stage=Stage.CLAIMED,
        at=max((one.progress_at for one in alive if one.progress_at), default=at),
        received_at=record.received_at,
        decoded=_share(decoded, seconds),
        transcribed=_share(transcribed, seconds),
        transcribed_seconds=transcribed,
        audio_seconds=seconds,
        x_real_time=speed,
        executions=len(alive),
        shards=len(record.shards),
        shards_done=done,
        method=record.decision.method if record.decision else None,
        device=record.decision.device if record.decision else None,
        attempts=record.attempts,
    )
    stage = _stage(record, progress, works)
    return progress.model_copy(update={"stage": stage, "expected_at": _expected_at(record, progress, stage, at)})


def _works(record: JobRecord, shards: Mapping[int, BegunShard]) -> Sequence[BegunShard]:
    """What workers have or had: the upload as a whole, or its shards."""
    if record.shards and record.state is JobState.QUEUED:
        return tuple(shards.values())
    return (BegunShard.model_validate(record, from_attributes=True),)


def _done_seconds(record: JobRecord, shards: Mapping[int, BegunShard], seconds: float) -> tuple[float, float]:
    """Audio that is decoded, and that is transcribed."""
    if not record.shards:
        return record.decoded_seconds, record.transcribed_seconds
    decoded = transcribed = 0.0
    for shard in record.shards:
        length, begun = shard.seconds_of(seconds), shards.get(shard.number)
        is_done = record.state is not JobState.QUEUED or (begun is not None and begun.state is JobState.DONE)
        if is_done:
            decoded, transcribed = decoded + length, transcribed + length
        elif begun is not None:
            decoded += min(length, begun.decoded_seconds)
            transcribed += min(length, begun.transcribed_seconds)
    return decoded, transcribed


def _share(seconds: float, of_seconds: float | None) -> float:
    share = min(1.0, max(0.0, seconds / of_seconds)) if of_seconds else 0.0
    return 1.0 if share >= ALL_BUT_ROUNDING else share


def _stage(record: JobRecord, progress: Progress, works: Sequence[BegunShard]) -> Stage:
    if record.state is JobState.CLAIMED:
        if record.decision is None:
            return Stage.CLAIMED
        return Stage.TRANSCRIBING if record.decision.method is Method.DEEPGRAM else Stage.INSPECTED
    if record.shards and progress.shards_done == progress.shards:
        return Stage.ASSEMBLING
    if not any(one.state is JobState.RUNNING for one in works) and not progress.shards_done:
        return Stage.QUEUED
    if progress.transcribed >= 1:
        return Stage.ASSEMBLING
    if progress.transcribed > 0 or progress.decoded >= 1:
        return Stage.TRANSCRIBING
    return Stage.DECODING if progress.decoded > 0 else Stage.STARTED


def _expected_at(record: JobRecord, progress: Progress, stage: Stage, at: datetime) -> datetime | None:
    """By the measured speed of all workers together; before there is one, by the quote, until that is over."""
    if stage is Stage.ASSEMBLING or record.retry_at is not None:
        return None
    if progress.x_real_time is not None and progress.audio_seconds is not None:
        left_seconds = max(0.0, progress.audio_seconds - progress.transcribed_seconds)
        return progress.at + timedelta(seconds=left_seconds / progress.x_real_time)
    quote = record.decision.quote if record.decision else None
    # A quote is for one worker, and for an upload of which nothing is done.
    if quote is None or record.shards or record.attempts > 1:
        return None
    expected = (record.queued_at or record.received_at) + timedelta(seconds=quote.completion_seconds)
    return expected if expected > at else None
