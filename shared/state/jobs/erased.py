"""What is left of a job that was erased: that there was one, how it ended and what it cost."""

from __future__ import annotations

from shared.clock import now
from shared.messages import TerminalMessage
from shared.state.jobs.record import JobRecord, JobState

ERASED = "erased"
"""Holder of the record of a job that was erased, and the name that its upload has there."""


def erased_record(record: JobRecord) -> JobRecord:
    """Without names, and held by nobody who could work on it: a late event finds that, and opens no job."""
    return JobRecord(
        upload=record.upload.model_copy(update={"name": ERASED}),
        run=record.run,
        state=JobState.DONE,
        holder=ERASED,
        lease_until=now(),
        received_at=record.received_at,
    )


def erased_outcome(outcome: TerminalMessage) -> TerminalMessage:
    """What of an outcome names nothing and quotes nothing."""
    return TerminalMessage(
        event_id=outcome.event_id,
        job_id=outcome.job_id,
        run=outcome.run,
        upload=outcome.upload.model_copy(update={"name": ERASED}),
        outcome=outcome.outcome,
        bill=outcome.bill,
        earlier_usd=outcome.earlier_usd,
        execution=outcome.execution,
        received_at=outcome.received_at,
        finished_at=outcome.finished_at,
    )
