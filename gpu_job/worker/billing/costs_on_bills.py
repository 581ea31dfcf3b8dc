"""What of a worker's cost is in records and on bills, as the worker knows it, upload by upload; and which uploads its
own object in the state bucket names (`shared/state/execution_costs.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.costs.bill import Bill
from shared.state.execution_costs import RecordedCost, TaskCosts


class BilledWork(Protocol):
    """An upload that runs here, or a shard of one."""

    @property
    def id(self) -> str:
        """The job's, or the shard's name."""

    @property
    def job_id(self) -> str:
        """The upload's job."""

    @property
    def run(self) -> int: ...


class CostsOnBills:
    """Of one task. Not safe for threads: its user has a lock."""

    def __init__(self, task: str) -> None:
        """`task`: its name on lines of bills."""
        self._task = task
        self._recorded: dict[tuple[str, int], RecordedCost] = {}
        """By work and run: those without an outcome, as far as this worker knows."""
        self._on_outcomes: dict[tuple[str, int], Bill] = {}
        """By job and run: this task's lines on outcomes that this worker has seen."""
        self._named: set[tuple[str, int]] = set()
        """Work and run, as the object in the state bucket names them."""

    def begin(self, work: BilledWork) -> None:
        """From now on it may cost something."""
        if (work.job_id, work.run) not in self._on_outcomes:
            self._recorded.setdefault((work.id, work.run), _recorded(work, Bill()))

    def record(self, work: BilledWork, spent: Bill) -> None:
        """Its record says so of all attempts, this task's among them."""
        if (work.job_id, work.run) not in self._on_outcomes:
            self._recorded[work.id, work.run] = _recorded(work, spent.of_task(self._task))

    def decide(self, work: BilledWork, outcome: Bill) -> None:
        """Its outcome has this bill, of which it also has what its other attempts and shards cost here."""
        self._on_outcomes[work.job_id, work.run] = outcome.of_task(self._task)
        for key, one in list(self._recorded.items()):
            if (one.job_id, one.run) == (work.job_id, work.run):
                del self._recorded[key]

    def is_named(self, work: BilledWork) -> bool:
        """Whether the object in the state bucket names it, or need not."""
        key = (work.id, work.run)
        return key in self._named or key not in self._recorded

    def named(self, costs: TaskCosts) -> None:
        """This was written."""
        self._named = {(one.work_id, one.run) for one in costs.recorded}

    @property
    def recorded(self) -> Sequence[RecordedCost]:
        """Of what no outcome is known."""
        return tuple(self._recorded.values())

    @property
    def usd(self) -> float:
        """Of all records and outcomes."""
        on_outcomes = sum(bill.usd for bill in self._on_outcomes.values())
        return on_outcomes + sum(one.usd for one in self._recorded.values())

    @property
    def calls_usd(self) -> float:
        """Of these the calls to Deepgram."""
        on_outcomes = sum(bill.calls_usd for bill in self._on_outcomes.values())
        return on_outcomes + sum(one.calls_usd for one in self._recorded.values())


def _recorded(work: BilledWork, own: Bill) -> RecordedCost:
    return RecordedCost(job_id=work.job_id, run=work.run, work_id=work.id, usd=own.usd, calls_usd=own.calls_usd)
