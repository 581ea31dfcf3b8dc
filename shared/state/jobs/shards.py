"""The shards of a divided job: how far they are together, and how they end with it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from shared.clock import now
from shared.costs.bill import Bill, total
from shared.costs.shard_plan import Shard, shard_work_id
from shared.errors import StateConflict
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.store import JobStore

MAX_MISSING = 2
"""After so many shards of an upload that were given up, one whose worker was lost is not tried again: it is the file
that ends workers, wherever they begin."""

CLOSE_TRIES = 20
"""Writes of one shard's record against its worker's, which come once in a while."""

_THREADS = 8
"""Records that are read at once."""


@dataclass(frozen=True)
class ShardsProgress:
    """A job's shards at one moment. `records`: by number, of those that a worker has begun."""

    count: int = 0
    records: Mapping[int, Job] = field(default_factory=dict)

    @property
    def left(self) -> tuple[int, ...]:
        """Numbers of those that are not done."""
        return tuple(number for number in range(self.count) if not self._is_done(number))

    def _is_done(self, number: int) -> bool:
        return number in self.records and self.records[number].record.state is JobState.DONE

    @property
    def is_alive(self) -> bool:
        """Whether a worker has one of them, or is soon to have one again that another gave back."""
        at = now()
        return any(self.records[number].record.lease_until > at for number in self.left if number in self.records)

    @property
    def lost(self) -> list[Job]:
        """Those whose worker went silent."""
        at = now()
        left = [self.records[number] for number in self.left if number in self.records]
        return [one for one in left if one.record.state is JobState.RUNNING and one.record.lease_until <= at]

    @property
    def missing(self) -> Mapping[int, str]:
        """Those that were given up, and why."""
        return {number: one.record.missing for number, one in self.records.items() if one.record.missing}

    @property
    def progressed_at(self) -> datetime | None:
        """Until when a worker held one of them that is done, or when one had new words; None: there is none."""
        records = (one.record for one in self.records.values() if one.record.missing is None)
        return max((at for one in records if (at := _progressed_at(one)) is not None), default=None)

    def waits_since(self, received_at: datetime) -> datetime:
        """From when on its waiting counts: not while some shard or other gets on."""
        return max(received_at, min(now(), self.progressed_at or received_at))

    @property
    def started_at(self) -> datetime | None:
        """When the first of them was begun; None: none was."""
        times = (one.record.started_at for one in self.records.values())
        return min((at for at in times if at is not None), default=None)

    @property
    def newest_write(self) -> int:
        """The newest generation of a record: it is the same only where no worker had a shard meanwhile."""
        return max((one.generation for one in self.records.values()), default=0)

    @property
    def spent(self) -> Bill:
        """What they cost; those that run as of their last heartbeats."""
        return total(self.records[number].record.spent for number in sorted(self.records))


def _progressed_at(shard: JobRecord) -> datetime | None:
    # Not until when it is leased: one that hangs keeps its lease, and one that was given back after a fault is leased
    # until its next attempt, though its words may be of days ago.
    return shard.lease_until if shard.state is JobState.DONE else shard.advanced_at


def shards_progress(jobs: JobStore, record: JobRecord) -> ShardsProgress:
    """Read the records of a job's shards. Raises what the storage client raises."""
    job_id, numbers = record.upload.job_id, range(len(record.shards))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="shards") as threads:
        found = threads.map(lambda number: jobs.load(shard_work_id(job_id, number, record.run)), numbers)
        records = {number: job for number, job in zip(numbers, found, strict=True) if job is not None}
    return ShardsProgress(len(record.shards), records)


def all_shards_done(jobs: JobStore, record: JobRecord) -> bool:
    """Whether a divided job is to be assembled, by one listing."""
    states = jobs.shard_states(record)
    return all(states.get(shard.number) is JobState.DONE for shard in record.shards)


def close_shards(jobs: JobStore, record: JobRecord) -> Bill:
    """End every shard that is not done, for the job ends without it; what all of them cost.

    A worker that has one finds its record written, and books on no bill what it spent since its last heartbeat.
    Raises StateConflict, and what the storage client raises.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="shards") as threads:
        return total(threads.map(lambda shard: _closed(jobs, record, shard), record.shards))


def close_known_shards(jobs: JobStore, record: JobRecord) -> Bill:
    """End every shard that has a record, where nobody knows any more how the upload was divided; what they cost, as far
    as their records can be read. Raises as `close_shards` does."""
    spent = Bill()
    for number in jobs.begun_shards(record):
        try:
            spent += _closed(jobs, record, Shard(number, 0, None))
        except ValidationError:
            continue  # whoever has it finds its job's record changed
    return spent


def _closed(jobs: JobStore, record: JobRecord, shard: Shard) -> Bill:
    for _ in range(CLOSE_TRIES):
        # Also where no worker has begun it: none can begin it any more then.
        job = jobs.load(shard_work_id(record.upload.job_id, shard.number, record.run)) or jobs.open_shard(
            record, shard, state=JobState.DONE
        )
        if job.record.state is JobState.DONE:
            return job.record.spent
        closed = jobs.try_save(job, state=JobState.DONE)
        if closed is not None:
            return closed.record.spent
    raise StateConflict(f"shard {shard.number} of a job was changed by another process again and again")
