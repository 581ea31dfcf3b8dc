"""What a work item says of its job's record, so that whoever takes it first need not read it."""

from __future__ import annotations

from shared.media import Media
from shared.messages import Decision, UnclaimedRecord, WorkItem
from shared.state.jobs.record import Job, JobRecord, JobState


def work_item(job: Job, media: Media, decision: Decision) -> WorkItem:
    """The item that puts a job on a queue, whose record says so already."""
    record = job.record
    item = WorkItem(
        job_id=job.id,
        upload=record.upload,
        media=media,
        decision=decision,
        options=record.options,
        unclaimed=UnclaimedRecord(
            generation=job.generation,
            received_at=record.received_at,
            queued_at=record.queued_at,
            gather_until=record.gather_until,
            traceparent=record.traceparent,
        ),
    )
    as_read = unclaimed_job(item)
    leased = {"holder": record.holder, "lease_until": record.lease_until}
    is_complete = as_read is not None and as_read.changed(**leased) == job
    return item if is_complete else item.model_copy(update={"unclaimed": None})


def unclaimed_job(item: WorkItem) -> Job | None:
    """The job of an item whose record nobody had but who queued it, without holder and lease: if it is still so, a
    write of it succeeds. None where the record must be read."""
    unclaimed = item.unclaimed
    if unclaimed is None:
        return None
    record = JobRecord(
        upload=item.upload,
        state=JobState.QUEUED,
        holder="",
        lease_until=unclaimed.received_at,
        received_at=unclaimed.received_at,
        queued_at=unclaimed.queued_at,
        gather_until=unclaimed.gather_until,
        media=item.media,
        decision=item.decision,
        options=item.options,
        traceparent=unclaimed.traceparent,
    )
    return Job(record, unclaimed.generation)
