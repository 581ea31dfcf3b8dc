"""What running executions cost so far: nothing of it is lost where one is killed.

`open-executions/<execution>/<index>-<attempt>.json` exists while a task of an execution runs. Its worker writes it with
every heartbeat, and deletes it once the ledger has what is on no upload's bill. Of a worker that was killed the task's
next attempt or the reconciler does that, and of one that left uploads to others the reconciler, once these have ended:
whoever ends them may have read their records before (it was frozen meanwhile, say), and its bill lacks what they have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.errors import best_effort
from shared.state.jobs.store import JobStore
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, overhead
from shared.unreadable import UNREADABLE_AFTER, parsed, set_aside

_log = logging.getLogger(__name__)

_OPEN = "open-executions/"


class RecordedCost(BaseModel):
    """What a task's attempt at an upload cost, as the upload's record has it.

    Its outcome will have it, too, unless it is made without this record: by a process that was frozen meanwhile, say.
    """

    model_config = ConfigDict(frozen=True)

    job_id: str
    run: int
    bill: Bill


class TaskCosts(BaseModel):
    """What one attempt at a task of an execution cost until `updated_at`."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    execution: str
    index: int
    attempt: int
    began_at: datetime
    """When the instance began to be billed."""
    updated_at: datetime
    alive_until: datetime
    """When its worker counts as dead, unless it writes again."""
    spent_usd: float
    """The instance's time until `updated_at`, and the calls to Deepgram."""
    on_bills_usd: float
    """Of that what uploads' records and bills have."""
    usd_per_second: float
    """Of the instance."""
    recorded: tuple[RecordedCost, ...] = ()
    """The part of `on_bills_usd` that no outcome had when this was written."""
    has_ended: bool = False
    """Whether its worker has ended, and booked what was on no bill by then: only `recorded` is to be looked at."""

    @property
    def name(self) -> str:
        """What the ledger and the state bucket call it."""
        return f"executions/{self.execution}/{self.index}-{self.attempt}"

    def overhead(self, ended_by: datetime | None = None) -> Entry:
        """What is on no upload's bill, for the ledger.

        `ended_by`: the worker was killed, and this is the latest time at which it can have been. Cloud Run bills the
        time until it was, which nobody saw, so all of it is "possibly billed": an upper bound.
        """
        unseen_seconds = max(0.0, (ended_by - self.updated_at).total_seconds()) if ended_by else 0.0
        return overhead(
            self.name,
            self.began_at,
            max(0.0, self.spent_usd - self.on_bills_usd),
            possibly_usd=unseen_seconds * self.usd_per_second,
            seen_at=self.updated_at if ended_by else None,
        )


class ExecutionCosts:
    """The costs of tasks that run, in the state bucket."""

    def __init__(self, bucket: Bucket, ledger: Ledger, deadline_seconds: float | None = None) -> None:
        """`deadline_seconds`: for each write of `update`; None: the storage client's own limits."""
        self._bucket = bucket
        self._ledger = ledger
        self._jobs = JobStore(bucket)
        self._deadline_seconds = deadline_seconds

    def update(self, costs: TaskCosts) -> None:
        """Write what the task cost by now; only its own worker does."""
        objects.write(
            self._bucket, _object_name(costs), costs.model_dump_json().encode(), deadline_seconds=self._deadline_seconds
        )

    def close(self, costs: TaskCosts) -> None:
        """The worker ends: book what is on no bill. What others booked of it, as they took it for dead, was a guess."""
        settled = self.settled(costs)
        self._ledger.book(settled.overhead())
        if settled.recorded:
            # Whoever ends these uploads may not know of it: the reconciler looks at their outcomes.
            self.update(settled.model_copy(update={"has_ended": True, "alive_until": now()}))
        else:
            objects.delete(self._bucket, _object_name(costs))

    def close_killed(self, costs: TaskCosts, known_dead_at: datetime) -> None:
        """Book what a worker cost that has ended or was killed, until it counted as dead, or until `known_dead_at`,
        where that was before; again with each call, until all of its uploads have their outcomes.

        One that was frozen and went on, and was killed behind that, may have been booked before: its last word counts.
        """
        settled = self.settled(costs)
        if settled.has_ended and settled == costs:
            return  # it is booked, and nothing more is known
        if settled.has_ended:
            entry = settled.overhead()
            self._ledger.book(entry)
        else:
            entry = settled.overhead(ended_by=min(costs.alive_until, known_dead_at))
            self._ledger.book_guess(entry)
        if settled.recorded:
            return
        if self._delete_unless_rewritten(costs) and not settled.has_ended:
            fields = {"task": costs.name, "usd": entry.usd, "possibly_usd": entry.possibly_usd}
            _log.warning("a killed execution's cost was booked", extra={"fields": fields})

    def _delete_unless_rewritten(self, costs: TaskCosts) -> bool:
        """Whether this was its worker's last word. One that was only frozen may have written another meanwhile, which
        is still to be booked."""
        name = _object_name(costs)
        stored = objects.read(self._bucket, name)
        if stored is None or TaskCosts.model_validate_json(stored.data) != costs:
            return False
        return objects.delete(self._bucket, name, stored.generation)

    def settled(self, costs: TaskCosts) -> TaskCosts:
        """The costs without what was counted as on a bill and is on none: a record had it, and the outcome has not.
        `recorded` is then what no outcome decides yet."""
        found = [(one, self._is_on_a_bill(one)) for one in costs.recorded]
        lost_usd = sum(one.bill.usd for one, is_on_a_bill in found if is_on_a_bill is False)
        undecided = tuple(one for one, is_on_a_bill in found if is_on_a_bill is None)
        return costs.model_copy(update={"on_bills_usd": costs.on_bills_usd - lost_usd, "recorded": undecided})

    def _is_on_a_bill(self, recorded: RecordedCost) -> bool | None:
        """None: the upload has no outcome yet, or none that can be read before it is published."""
        try:
            outcome = self._jobs.outcome(recorded.job_id, recorded.run)
        except ValidationError:
            # Nobody makes it again once it is published: what cannot be read says nothing any more.
            return None if self._jobs.markers.is_open(recorded.job_id, recorded.run) else True
        if outcome is not None and outcome.bill.includes(recorded.bill):
            return True
        job = self._jobs.load(recorded.job_id)
        is_same_run = job is not None and job.record.run == recorded.run
        if outcome is None:
            return None if is_same_run else True  # what was erased or has expired says nothing any more
        # Where the record does not have it either, the worker wrote another one behind its last word, which knows less.
        return job is not None and is_same_run and not job.record.spent.includes(recorded.bill)

    def running(self, execution: str = "") -> Iterator[TaskCosts]:
        """Tasks that run, or of which something is still to be booked, of all executions or one. What cannot be read is
        logged and left out; where it is damaged, and its worker wrote no other one for UNREADABLE_AFTER, it is set
        aside, and what it cost is in no ledger."""
        for blob in self._bucket.list_blobs(prefix=f"{_OPEN}{execution and execution + '/'}"):
            name, costs = str(blob.name), None
            # Whatever it is, a call that failed or a newer version: the next look may find it.
            with best_effort("a task's cost was not looked at", object=name):
                stored = objects.read(self._bucket, name)
                costs = None if stored is None else parsed(stored.data, TaskCosts, name)
                if stored is not None and costs is None and now() - blob.time_created > UNREADABLE_AFTER:
                    set_aside(self._bucket, name, stored, f"unreadable/{name}/")
            if costs is not None:
                yield costs


def _object_name(costs: TaskCosts) -> str:
    return f"{_OPEN}{costs.execution}/{costs.index}-{costs.attempt}.json"
