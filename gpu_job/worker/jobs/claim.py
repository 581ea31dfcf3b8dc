"""Claiming: whether a work item is this worker's to do, and what an earlier attempt left of it."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from gpu_job.worker.checkpoints import StoredParts
from gpu_job.worker.jobs.claimed_job import ClaimedJob
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.costs.shard_plan import shard_work_id
from shared.enums import Method
from shared.errors import DropscribeError, FailureKind, best_effort
from shared.messages import WorkItem
from shared.state.job_result import exhausted, failed, waited_too_long
from shared.state.jobs.open_markers import OpenMarker
from shared.state.jobs.queued_item import unclaimed_job
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.shards import MAX_MISSING, ShardsProgress, all_shards_done, shards_progress

_log = logging.getLogger(__name__)


OWN_LOOKED_AT = 1_000
"""Records that are read, 4 s of 30 ms each: a worker has four uploads at once, beside those of the other workers."""

_THREADS = 8
"""Below the ten connections that Google's client keeps."""


@dataclass(frozen=True)
class ClaimResult:
    """The job to do; or none, and then after how many seconds the item should come again (None: never)."""

    claimed: ClaimedJob | None = None
    retry_after_seconds: int | None = None
    must_run_alone: bool = False
    """Nothing was claimed: the worker is to claim it once it runs nothing else."""


NOTHING_TO_DO = ClaimResult()

_SHARD_GIVEN_UP = ClaimResult()
"""There is nothing to do of the shard any more, and perhaps something of its job."""

TOO_MANY_MISSING = "The worker ended while it worked on this part, and other parts of the file were given up."


def claim(services: JobServices, item: WorkItem, *, alone: bool = True) -> ClaimResult:
    """Claim the item's job or shard, unless it has ended or another process holds it; for the last shard of a job that
    is done, the job itself, to be assembled.

    `alone`: whether this worker runs nothing else. What had its worker killed is run only then: it may be what kills
    workers, and must not use up the attempts of others beside it.
    """
    unclaimed = unclaimed_job(item)
    if unclaimed is not None:
        # Nobody but who queued it wrote its record, so nobody had it or ended it: the write finds out.
        taken = _take(services, unclaimed, attempts=0, lost_attempts=0)
        if taken is not None:
            return ClaimResult(ClaimedJob(taken, item.media, item.decision, is_first=True))
    job = services.jobs.load(item.job_id)
    if job is None:
        _log.warning("a work item without a record")
        return NOTHING_TO_DO
    outcome = services.jobs.outcome(job.id, job.record.run)
    if outcome is not None:
        if services.jobs.markers.is_open(job.id, outcome.run):
            services.finisher.publish(outcome)
        return NOTHING_TO_DO
    if job.record.shards:
        return _claim_divided(services, job, item, alone=alone)
    return _claim(services, job, item, alone=alone)


def _claim_divided(services: JobServices, job: Job, item: WorkItem, *, alone: bool) -> ClaimResult:
    """Claim a shard that is not done; where none is left, the job."""
    record = job.record
    is_queued = record.state is JobState.QUEUED
    shard = next((one for one in record.shards if one.number == item.shard), None)
    if is_queued and shard is not None:
        stored = services.jobs.load(shard_work_id(job.id, shard.number, record.run)) or services.jobs.open_shard(
            record, shard
        )
        if stored.record.state is not JobState.DONE:
            result = _claim(services, stored, item, alone=alone)
            if result is not _SHARD_GIVEN_UP:
                return result
    if record.state is JobState.CLAIMED:
        # Deepgram's, or about to be.
        return ClaimResult(retry_after_seconds=int(services.settings.lease_seconds))
    if is_queued and not all_shards_done(services.jobs, record):
        return NOTHING_TO_DO
    return _claim(services, job, item, alone=alone)


def _claim(services: JobServices, job: Job, item: WorkItem, *, alone: bool) -> ClaimResult:
    """Claim a job or a shard by its record."""
    record = job.record
    if record.decision is None:
        # Of an item from before its record was made anew, or from a run before: what is asked for the upload is to be
        # found out again, and who does that queues it.
        return ClaimResult(retry_after_seconds=int(services.settings.lease_seconds))
    if _is_held_by_another(job, services.task.holder):
        return ClaimResult(retry_after_seconds=max(1, int((record.lease_until - now()).total_seconds()) + 1))
    if (error := _given_up(record, services)) is not None:
        if record.shard is not None and record.lost_so_far:
            return _give_shard_up(services, job, error)
        # As of a whole upload: what ended each attempt was no part of the file that kills workers.
        whole = job if record.shard is None else services.jobs.load(record.upload.job_id)
        if whole is not None:
            services.finisher.finish(whole.record, failed(error))
        return NOTHING_TO_DO
    lost, attempts = record.lost_so_far, record.attempts_so_far
    if lost and not alone:
        if record.state is JobState.RUNNING and not services.jobs.try_save(
            job, state=JobState.QUEUED, attempts=attempts, lost_attempts=lost, lease_until=_lease_end(services)
        ):
            return ClaimResult(retry_after_seconds=int(services.settings.heartbeat_seconds))
        return ClaimResult(must_run_alone=True)
    # Before the claim: where the state bucket does not answer, no attempt is counted.
    shards = shards_progress(services.jobs, record) if record.shards else ShardsProgress()
    has_parts = record.may_have_parts or bool(record.shards)
    stored = _stored(services, record) if has_parts else None
    taken = _take(services, job, attempts, lost, shards.started_at)
    if taken is None:
        return ClaimResult(retry_after_seconds=int(services.settings.heartbeat_seconds))
    # Not the item's word: it is a copy, and perhaps an old one.
    return ClaimResult(
        ClaimedJob(
            taken,
            record.media or item.media,
            record.decision,
            {} if stored is None else stored.results,
            None if stored is None or not record.shards else stored.shards,
            is_first=not has_parts,
            missing_shards=shards.missing,
            shards_usd=shards.spent.usd,
        )
    )


def _take(
    services: JobServices, job: Job, attempts: int, lost_attempts: int, started_at: datetime | None = None
) -> Job | None:
    """The job with one attempt more, which is this worker's; None where another process wrote its record."""
    return services.jobs.try_save(
        job,
        state=JobState.RUNNING,
        holder=services.task.holder,
        started_at=job.record.started_at or started_at or now(),
        attempts=attempts + 1,
        lost_attempts=lost_attempts,
        dispatches=0,
        retry_at=None,
        lease_until=_lease_end(services),
    )


def _give_shard_up(services: JobServices, job: Job, error: DropscribeError) -> ClaimResult:
    """A shard is done without its part; what its attempts stored is used."""
    changes = {"attempts": job.record.attempts_so_far, "lost_attempts": job.record.lost_so_far}
    if services.jobs.try_save(job, state=JobState.DONE, missing=error.reason, **changes) is None:
        return ClaimResult(retry_after_seconds=int(services.settings.heartbeat_seconds))
    assert job.record.shard is not None  # only shards are given up here
    _log.warning("a shard was given up", extra={"fields": {"shard": job.record.shard.number, "reason": error.reason}})
    with best_effort("a shard was not marked as done"):
        services.jobs.markers.mark_shard_done(job.record.upload.job_id, job.record.shard.number, job.record.run)
    return _SHARD_GIVEN_UP


def _given_up(record: JobRecord, services: JobServices) -> DropscribeError | None:
    """Why there is no further attempt; None where there may be one."""
    settings = services.settings
    if record.attempts_so_far >= settings.max_attempts:
        return DropscribeError(exhausted(record), FailureKind.INTERNAL)
    # One that only had to wait for its turn is begun; the reconciler fails it where it goes quiet.
    limit = timedelta(hours=settings.max_wait_hours)
    has_waited = bool(record.faults) and now() - record.received_at > limit
    if record.shard is None:
        whole: JobRecord | None = record
    else:
        upload = services.jobs.load(record.upload.job_id) if has_waited or record.lost_so_far else None
        whole = None if upload is None else upload.record
    shards = shards_progress(services.jobs, whole) if whole is not None and whole.shards else ShardsProgress()
    if has_waited and now() - shards.waits_since(record.received_at) > limit:
        return DropscribeError(waited_too_long(record, settings.max_wait_hours), FailureKind.TIMEOUT)
    if record.shard is not None and record.lost_so_far and len(shards.missing) >= MAX_MISSING:
        return DropscribeError(TOO_MANY_MISSING, FailureKind.INTERNAL)
    return None


def _stored(services: JobServices, record: JobRecord) -> StoredParts:
    job_id, parts, language = record.upload.job_id, record.read_parts, record.options.language
    return services.checkpoints.load_all(job_id, record.parts_run, parts, language=language, plan=record.shards)


def _lease_end(services: JobServices) -> datetime:
    return now() + timedelta(seconds=services.settings.lease_seconds)


def _is_held_by_another(job: Job, holder: str) -> bool:
    record = job.record
    if record.lease_until <= now():
        return False
    with_deepgram = record.state is JobState.CLAIMED and record.decision and record.decision.method is Method.DEEPGRAM
    # A claim in our own name is a killed predecessor's: Cloud Run never runs one task twice at once.
    return bool(with_deepgram) or (record.state is JobState.RUNNING and record.holder != holder)


def own_items(services: JobServices) -> Sequence[WorkItem]:
    """Jobs and shards that a killed earlier attempt of this task was at; their messages would come back only after a
    while. Shards last: while one is fed, nothing else is begun.

    Records are read side by side, and at most OWN_LOOKED_AT of them, of those that have been on the queue for longest:
    what a worker had at work has been. The message of one that is not among them comes by itself.
    """
    if services.task.attempt == 0:
        return []
    device = services.settings.shape.job_device
    markers = [one for one in services.jobs.markers.all() if one.queued is None or one.queued.device is device]
    oldest = heapq.nsmallest(OWN_LOOKED_AT, markers, key=_queued_at)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="own-items") as threads:
        found = [item for items in threads.map(partial(_own_items_of, services), oldest) for item in items]
    return sorted(found, key=lambda item: item.shard is not None)


def _queued_at(marker: OpenMarker) -> float:
    """Last, where nobody said that its item was published."""
    return math.inf if marker.queued is None else marker.queued.queued_at.timestamp()


def _own_items_of(services: JobServices, marker: OpenMarker) -> Sequence[WorkItem]:
    try:
        job = services.jobs.load(marker.job_id)
        if job is None or job.record.media is None or job.record.decision is None:
            return []
        record = job.record
        item = WorkItem(job_id=job.id, upload=record.upload, media=record.media, decision=record.decision)
        if record.state is JobState.QUEUED and record.shards:
            of_shards = shards_progress(services.jobs, record).records
            own = [number for number, one in of_shards.items() if _is_own(one.record, services.task.holder)]
            return [item.model_copy(update={"shard": number}) for number in own]
    except Exception:
        # This worker has others to look after; the reconciler finds it once its lease is over.
        _log.exception("job not taken up again")
        return []
    return [item] if _is_own(record, services.task.holder) else []


def _is_own(record: JobRecord, holder: str) -> bool:
    return record.state is JobState.RUNNING and record.holder == holder
