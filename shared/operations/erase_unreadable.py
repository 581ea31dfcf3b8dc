"""Erasure of jobs of which something cannot be read: records and outcomes are made anew, to lose their names like any
other. No copy of what was damaged is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.costs.shard_plan import shard_work_id
from shared.errors import DropscribeError
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from shared.state.deployment import Deployment
from shared.state.job_result import JobResult
from shared.state.jobs.object_names import outcome_name, record_name
from shared.state.jobs.rebuilt_record import readable_fields, readable_upload, rebuilt_record, rebuilt_shard_record
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.shards import close_known_shards
from shared.unreadable import UNREADABLE_AFTER, is_newer


class ErasureRefused(DropscribeError):
    """Nothing is erased; the reason says why in a sentence."""


def job_to_erase(deployment: Deployment, job_id: str, upload: Upload | None) -> Job | None:
    """The job's record; None also where it was erased. Raises ErasureRefused where it cannot be read, and nothing says
    which upload it is of, or a newer release wrote it. `upload`: where it is known."""
    jobs = deployment.jobs
    try:
        job = jobs.load(job_id)
    except ValidationError:
        stored = objects.read(deployment.state, record_name(job_id))
    else:
        if job is not None:
            _mend_shards(deployment, job.record)
        return job
    if stored is None:
        return None
    if is_newer(stored.data, JobRecord):
        raise ErasureRefused("A newer release wrote the job's record: erase it with that one.")
    upload = upload or readable_upload(stored.data, job_id)
    if upload is None:
        raise ErasureRefused("The job's record cannot be read: name its upload by its address, gs://BUCKET/NAME.")
    kept = readable_fields(stored.data, upload)
    run = max({1, kept.get("run", 1), *jobs.runs(job_id)})
    received = [one.received_at for each in range(1, run + 1) if (one := readable_outcome(deployment, job_id, each))]
    record = rebuilt_record(upload, run, received[-1] if received else now(), kept, losses=1, spent=Bill(), calls=0)
    # Of its shards nobody knows which workers have.
    until = now() + UNREADABLE_AFTER if jobs.begun_shards(record) else _held_until(kept)
    spent = record.spent + close_known_shards(jobs, record).replaced(record.spent, Bill())
    return jobs.write_rebuilt(record.model_copy(update={"spent": spent, "lease_until": until}), stored.generation)


def _mend_shards(deployment: Deployment, record: JobRecord) -> None:
    """Write the records of shards anew that cannot be read, so that they end with their job."""
    for shard in record.shards:
        name = record_name(shard_work_id(record.upload.job_id, shard.number, record.run))
        stored = objects.read(deployment.state, name)
        try:
            if stored is not None:
                JobRecord.model_validate_json(stored.data)
            continue
        except ValidationError:
            assert stored is not None
        if is_newer(stored.data, JobRecord):
            raise ErasureRefused("A newer release wrote the record of a shard of the job: erase it with that one.")
        kept = readable_fields(stored.data, record.upload)
        changes = {"state": JobState.RUNNING, "lease_until": _held_until(kept)}
        rebuilt = rebuilt_shard_record(record, shard, kept, losses=1).model_copy(update=changes)
        deployment.jobs.write_rebuilt(rebuilt, stored.generation)


def _held_until(kept: Mapping[str, Any]) -> datetime:
    """Until when somebody may have the job, or shard, whose record could not be read."""
    if kept.get("state") is JobState.QUEUED:
        return now()
    until: datetime = kept.get("lease_until", now() + UNREADABLE_AFTER)
    return until


def readable_outcome(deployment: Deployment, job_id: str, run: int) -> TerminalMessage | None:
    """The outcome of a run; None also where it cannot be read."""
    try:
        return deployment.jobs.outcome(job_id, run)
    except ValidationError:
        return None


def ended_for_erasure(deployment: Deployment, record: JobRecord, result: JobResult) -> TerminalMessage:
    """The outcome of a job, which ends with `result` where it has none. One that cannot be read is made again; where it
    was published, it is not published once more, and its line in the ledger stays."""
    job_id, run = record.upload.job_id, record.run
    try:
        standing = deployment.jobs.outcome(job_id, run)
    except ValidationError:
        stored = objects.read(deployment.state, outcome_name(job_id, run))
        generation = 0 if stored is None else stored.generation
        receipt = deployment.finisher.stored_receipt(record)
        bill = record.spent if receipt is None else receipt.bill
        if deployment.jobs.markers.is_open(job_id, run):
            record = record if receipt is None else record.model_copy(update={"shards": ()})
            return deployment.finisher.finish(record, result, bill, replaces=generation)
        message = TerminalMessage(
            event_id=event_id(job_id, run),
            job_id=job_id,
            run=run,
            upload=record.upload,
            outcome=result.outcome if receipt is None else receipt.outcome,
            bill=bill,
            earlier_usd=record.earlier_usd,
            received_at=record.received_at,
            finished_at=now(),
        )
        return deployment.jobs.record_outcome(message, generation)
    if standing is None:
        # Nobody publishes what an engine made of it before.
        record = record.model_copy(update={"has_first_transcript": False, "deepgram_calls": 0})
        return deployment.finisher.finish(record, result)
    if deployment.jobs.markers.is_open(job_id, run):
        deployment.finisher.publish(standing)
    return standing
