"""What running executions cost so far, and who books which second of it: none is lost and none is booked twice,
wherever a process is killed.

Every line of a bill names the task whose time or call it is (`LineItem.task`: an attempt at a task of an execution). So
what of a task's cost is on bills is what the outcomes of its uploads have of it, whoever made them, of whichever record
of theirs; the rest of its life is its overhead. Nothing else is compared.

`open-executions/<execution>/<index>-<attempt>.json` says what the task cost until its worker's last word, and which
uploads it may have cost something. The worker writes it with every heartbeat, and before the first word about an
upload's cost in a record or an outcome: so whoever finds a killed worker's object knows at which outcomes to look.
Where that write fails, a beat and who gives the job back leave the task's time out of the record. A shard that is done
and an outcome have it all the same, for a bill without it would be wrong for good: killed before its next word, a beat
later, the task is booked as if they had not.

    moment of the kill                      of this task on the upload's bill         who books the rest, as overhead
    before a record says what it cost       nothing                                   next attempt, or reconciler
    behind a record (beat, given back,      the record's lines, as read by the next   the same, once the upload has its
    a shard done; final bill before the     worker, the reconciler or the function    outcome
    outcome)
    behind its own outcome                  the final bill                            the same
    behind somebody else's outcome          the lines of the record that he read,     the same, or its worker as it ends
                                            perhaps none
    in the worker's end, before it says so  as above                                  the same
    behind that, before the ledger          as above                                  reconciler
    behind the ledger                       as above                                  it is booked; the reconciler
                                                                                      deletes the object
    a thread ends the upload as another     the outcome's, once there is one          its worker what no record has;
    one ends the worker (TERM)                                                        later the reconciler what no
                                                                                      outcome has

While an upload has no outcome its record stands for it, and the object stays: the reconciler's next tick looks again.
An erased upload's outcome keeps its bill, and each run has an outcome of its own: neither hides anything.

The ledger's line of a task is written by compare-and-swap, and its generation is read before the outcomes are: whoever
looked at them longer ago loses, and leaves the object to the next tick. A worker that ends knows what it cost; a guess
of a killed one's cost never takes the place of that, nor of a guess by a later word.

Of a killed worker the time behind its last word is "possibly billed", until the next attempt began or the lease ended,
as far as no bill has it: an upper bound.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill
from shared.errors import StateConflict, best_effort
from shared.state.jobs.store import JobStore
from shared.state.ledger import Booked, Ledger
from shared.state.ledger_entry import Entry, overhead
from shared.unreadable import UNREADABLE_AFTER, parsed, set_aside

_log = logging.getLogger(__name__)

_OPEN = "open-executions/"

BOOK_TRIES = 5
"""Writes of a task's line in the ledger by its own worker: against ticks that take it for dead, and slow storage."""

UNBOOKED_SECONDS = 0.5
"""Longest that a worker may have lived on while it booked what it cost: where it took longer, it books that, too.
Once: where storage is slow all the time, each booking costs as much as it adds."""


class RecordedCost(BaseModel):
    """What a task cost an upload, or a shard of one, whose outcome its worker has not seen; of which its record has so
    much, as far as the worker knows."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    """Of the upload."""
    run: int
    work_id: str = ""
    """The job's id, or the shard's name: whose record it is."""
    usd: float = 0.0
    """Of this task, all of its attempts at it."""
    calls_usd: float = 0.0
    """Of these the calls to Deepgram."""


class TaskCosts(BaseModel):
    """What one attempt at a task of an execution cost until `updated_at`."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    execution: str
    index: int
    attempt: int
    began_at: datetime
    """When the instance began to be billed: the same in every word of one worker, for it names the ledger's day."""
    updated_at: datetime
    alive_until: datetime
    """When its worker counts as dead, unless it writes again."""
    spent_usd: float
    """The instance's time until `updated_at`, and the calls to Deepgram."""
    calls_usd: float = 0.0
    """Of these the calls."""
    on_bills_usd: float
    """Of `spent_usd` what uploads' records and bills have."""
    on_bills_calls_usd: float = 0.0
    """Of these the calls."""
    usd_per_second: float
    """Of the instance."""
    recorded: tuple[RecordedCost, ...] = ()
    """The part of `on_bills_usd` that no outcome had when this was written."""
    has_ended: bool = False
    """Whether its worker has ended, and says here what it cost in all: nothing of it is a guess."""

    @property
    def name(self) -> str:
        """What the ledger and the state bucket call it."""
        return f"executions/{self.task}"

    @property
    def task(self) -> str:
        """What lines of bills call it."""
        return f"{self.execution}/{self.index}-{self.attempt}"

    def overhead(self, ended_by: datetime | None = None, before: Entry | None = None) -> Entry:
        """What is on no upload's bill, for the ledger.

        `ended_by`: the worker was killed, and this is the latest time at which it can have been. Cloud Run bills the
        time until it was, which nobody saw, so what of it is on no bill is "possibly billed": an upper bound. `before`:
        what the ledger has, perhaps by the same last word and with an earlier such time.
        """
        unseen_seconds = max(0.0, (ended_by - self.updated_at).total_seconds()) if ended_by else 0.0
        unseen_usd = unseen_seconds * self.usd_per_second
        if before is not None and ended_by is not None and before.seen_at == self.updated_at:
            unseen_usd = min(unseen_usd, before.unseen_usd)
        calls_usd = self.calls_usd - self.on_bills_calls_usd
        time_usd = self.spent_usd - self.on_bills_usd - calls_usd
        return overhead(
            self.name,
            self.began_at,
            max(0.0, time_usd) + max(0.0, calls_usd),
            possibly_usd=max(0.0, time_usd + unseen_usd) - max(0.0, time_usd),
            seen_at=self.updated_at if ended_by else None,
            unseen_usd=unseen_usd,
        )


@dataclass(frozen=True)
class _OnBills:
    """What bills or records have of a task."""

    usd: float = 0.0
    calls_usd: float = 0.0

    @classmethod
    def of(cls, bill: Bill, task: str) -> _OnBills:
        """Of a bill the lines of a task."""
        found = bill.of_task(task)
        return cls(found.usd, found.calls_usd)

    @classmethod
    def said(cls, recorded: RecordedCost) -> _OnBills:
        """As the worker knew it."""
        return cls(recorded.usd, recorded.calls_usd)

    def __sub__(self, other: _OnBills) -> _OnBills:
        return _OnBills(self.usd - other.usd, self.calls_usd - other.calls_usd)

    def __add__(self, other: _OnBills) -> _OnBills:
        return _OnBills(self.usd + other.usd, self.calls_usd + other.calls_usd)


class ExecutionCosts:
    """The costs of tasks that run, in the state bucket."""

    def __init__(self, bucket: Bucket, ledger: Ledger) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._jobs = JobStore(bucket)

    def update(self, costs: TaskCosts, deadline_seconds: float | None = None) -> None:
        """Write what the task cost by now; only its own worker does. `deadline_seconds`: of the storage client; None:
        its own limits."""
        data = costs.model_dump_json().encode()
        objects.write(self._bucket, _object_name(costs), data, deadline_seconds=deadline_seconds)

    def close(self, costs_now: Callable[[], TaskCosts]) -> Entry:
        """The worker ends: book what is on no bill. What others booked of it, as they took it for dead, was a guess.

        `costs_now`: what the task cost until the moment of the call: asked anew where booking took long, for the
        instance is billed meanwhile. Raises StateConflict where others book it again and again: then the reconciler
        does it.
        """
        booked, has_booked = None, False  # nearly always nobody has booked anything: then one call does it
        is_there = True  # the object
        for _ in range(BOOK_TRIES):
            costs = costs_now()
            settled = self.settled(costs)
            if settled.recorded:
                # Before the ledger: whoever finds this worker killed knows what it knew. The reconciler looks for these
                # uploads' outcomes.
                self.update(costs.model_copy(update={"has_ended": True, "alive_until": now()}))
                is_there = True
            entry = settled.overhead()
            if self._ledger.book_overhead(entry, booked):
                if is_there and not settled.recorded:
                    objects.delete(self._bucket, _object_name(costs))
                    is_there = False
                is_late = costs_now().spent_usd - costs.spent_usd > UNBOOKED_SECONDS * costs.usd_per_second
                if has_booked or not is_late:
                    return entry
                has_booked = True
            booked = self._ledger.booked(entry)  # before the look at the outcomes
        if not has_booked:
            raise StateConflict(f"the ledger's line of {costs.name} was changed by another process again and again")
        return entry

    def close_all_killed(self, is_killed: Callable[[TaskCosts], bool], at: datetime, execution: str = "") -> None:
        """Book what those cost that are known to be dead by `at`; of all executions or one."""
        running = [*self.running(execution)]
        for costs in running:
            if is_killed(costs):
                # One whose uploads' outcomes cannot be read keeps no other one.
                with best_effort("a killed execution's cost was not booked", task=costs.name):
                    self.close_killed(costs, _known_dead_at(costs, running, at))

    def close_killed(self, costs: TaskCosts, known_dead_at: datetime) -> None:
        """Book what a worker cost that has ended or was killed, until it counted as dead, or until `known_dead_at`,
        where that was before; again with each call, until all of its uploads have their outcomes.

        One that was frozen and went on, and was killed behind that, may have been booked before: its last word counts.
        """
        booked = self._ledger.booked(costs.overhead())  # before the look at the outcomes
        settled = self.settled(costs)
        ended_by = None if costs.has_ended else min(costs.alive_until, known_dead_at)
        entry = settled.overhead(ended_by, booked.entry if booked else None)
        knows_better = booked is not None and _knows_better(booked, entry)
        is_booked = knows_better or self._ledger.book_overhead(entry, booked)
        if settled.recorded or not is_booked:
            return
        if self._delete_unless_rewritten(costs) and not costs.has_ended:
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
        """The costs with what outcomes and records have by now. `recorded` is then what no outcome decides yet."""
        on_bills = _OnBills(costs.on_bills_usd, costs.on_bills_calls_usd)
        undecided: list[RecordedCost] = []
        works: dict[tuple[str, int], list[RecordedCost]] = {}
        for one in costs.recorded:
            works.setdefault((one.job_id, one.run), []).append(one)
            on_bills -= _OnBills.said(one)
        for recorded in works.values():
            ended, stands = (
                self._of_outcome(recorded, costs.task),
                [self._of_record(one, costs.task) for one in recorded],
            )
            if ended is None and None in stands:
                # Perhaps it ended just now, and was run again or erased since.
                ended = self._of_outcome(recorded, costs.task)
            if ended is not None:
                on_bills += ended
                continue
            for one, found in zip(recorded, stands, strict=True):
                on_bills += _OnBills.said(one) if found is None else found
                if found is not None:
                    undecided.append(one.model_copy(update={"usd": found.usd, "calls_usd": found.calls_usd}))
        changes = {"on_bills_usd": on_bills.usd, "on_bills_calls_usd": on_bills.calls_usd}
        return costs.model_copy(update={**changes, "recorded": tuple(undecided)})

    def _of_outcome(self, recorded: Sequence[RecordedCost], task: str) -> _OnBills | None:
        """What the outcome of one upload has of a task; None: it has none yet, or none that can be read before it is
        published."""
        job_id, run = recorded[0].job_id, recorded[0].run
        try:
            outcome = self._jobs.outcome(job_id, run)
        except ValidationError:
            # Nobody makes it again once it is published: what the records had is all that is known then.
            return None if self._jobs.markers.is_open(job_id, run) else sum(map(_OnBills.said, recorded), _OnBills())
        return None if outcome is None else _OnBills.of(outcome.bill, task)

    def _of_record(self, recorded: RecordedCost, task: str) -> _OnBills | None:
        """What a record has of a task; None: it has expired, with its outcome, and says nothing any more."""
        job = self._jobs.load(recorded.work_id or recorded.job_id)
        if job is None or job.record.run != recorded.run:
            return None
        return _OnBills.of(job.record.spent, task)

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


def _known_dead_at(costs: TaskCosts, among: Iterable[TaskCosts], at: datetime) -> datetime:
    """When a silent attempt was dead at the latest: as the next attempt at its task began, else by `at`."""
    later = [
        one.began_at
        for one in among
        if (one.execution, one.index) == (costs.execution, costs.index) and one.attempt > costs.attempt
    ]
    return min([at, *later])


def _knows_better(booked: Booked, guess: Entry) -> bool:
    """Whether what the ledger has of a task stands: its worker's own word, or a guess by a later one."""
    if guess.seen_at is None:
        return False
    if booked.entry is None:
        return booked.has_sum
    return booked.entry.seen_at is None or booked.entry.seen_at > guess.seen_at


def _object_name(costs: TaskCosts) -> str:
    return f"{_OPEN}{costs.execution}/{costs.index}-{costs.attempt}.json"
