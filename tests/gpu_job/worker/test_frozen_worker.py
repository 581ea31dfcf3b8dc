"""A worker that was frozen ends an upload that another one has by then: what both cost is on the bill, or overhead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.costs.bill import Bill
from shared.errors import DropscribeError
from shared.messages import WorkItem
from shared.state.job_result import completed, failed
from shared.state.ledger_entry import Entry, EntryState, month_of
from tests.support.later_attempts import one_word
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.stepped_worker import SteppedWorker
from tests.support.worker_services import queue_job, worker_services

FROZEN, OTHER, THIRD = "transcribe-f1", "transcribe-o1", "transcribe-t1"


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    with worker_services() as made:
        yield made


@dataclass
class TwoWorkers:
    """Both have the upload: one was frozen for longer than its lease."""

    services: JobServices
    item: WorkItem
    frozen: SteppedWorker
    frozen_job: RunningJob
    other: SteppedWorker
    other_job: RunningJob

    def lapse(self) -> None:
        """Whoever has the upload counts as dead."""
        job = self.services.jobs.load(self.item.job_id)
        assert job is not None
        self.services.jobs.save(job, lease_until=now() - timedelta(seconds=1))

    def outcome_of_the_frozen_without_the_record(self) -> None:
        """It was frozen between its look at the record and the outcome."""
        record = self.frozen_job.record.model_copy(update={"lease_until": now() + timedelta(minutes=1)})
        bill = self.frozen.billing.final_bill(self.frozen_job)
        outcome = self.services.finisher.finish(record, completed(one_word(self.frozen_job.upload)), bill, FROZEN)
        self.frozen.billing.bill_stored(self.frozen_job, outcome.bill)
        self.frozen.jobs.remove(self.frozen_job)

    def kill_the_other(self) -> None:
        """What it cost is booked as of its last word."""
        for costs in self.services.execution_costs.running(OTHER):
            self.services.execution_costs.close_killed(costs, costs.updated_at)

    def entries(self) -> list[Entry]:
        return [*self.services.ledger.entries(month_of(now()))]

    def booked_usd(self) -> float:
        return sum(entry.usd for entry in self.entries())

    def cost_usd(self, *workers: SteppedWorker) -> float:
        return sum(worker.spent_usd for worker in workers)


@pytest.fixture
def two(cloud: LoopbackCloud, services: JobServices) -> TwoWorkers:
    job, item = queue_job(services, cloud)
    frozen, other = SteppedWorker(cloud, services, FROZEN), SteppedWorker(cloud, services, OTHER)
    frozen_job = frozen.claim(item)
    assert frozen_job is not None
    frozen.beat()
    stored = frozen_job.stored
    # It does not know: what it has is what it wrote last, whose lease has ended by the time at which it goes on.
    lapsed = services.jobs.save(stored, lease_until=now() - timedelta(seconds=1))
    frozen_job.stored = lapsed
    other_job = other.claim(item)
    assert other_job is not None
    assert other_job.id == job.id
    return TwoWorkers(services, item, frozen, frozen_job, other, other_job)


def outcome_bill(two: TwoWorkers) -> Bill:
    outcome = two.services.jobs.outcome(two.item.job_id)
    assert outcome is not None
    return outcome.bill


def test_the_frozen_workers_outcome_has_what_the_other_one_cost_until_then(two: TwoWorkers) -> None:
    two.other.beat()
    recorded = two.other_job.record.spent
    two.frozen.end(two.frozen_job)
    two.other.end(two.other_job)
    assert outcome_bill(two).includes(Bill(items=recorded.items[len(two.other_job.spent_before.items) :]))
    for worker in (two.frozen, two.other):
        worker.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))


def test_nothing_is_lost_where_the_other_one_was_killed_and_booked_before_that(two: TwoWorkers) -> None:
    two.other.beat()
    two.other.beat()
    two.kill_the_other()
    two.lapse()
    two.frozen.end(two.frozen_job)
    two.frozen.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))


@pytest.mark.parametrize("has_beaten_since", [False, True])
def test_a_worker_that_finds_an_outcome_made_without_its_record_books_all_it_cost(
    two: TwoWorkers, has_beaten_since: bool
) -> None:
    two.other.beat()
    two.outcome_of_the_frozen_without_the_record()
    if has_beaten_since:
        two.other.beat()
    two.other.end(two.other_job)
    for worker in (two.frozen, two.other):
        worker.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))


def test_a_killed_workers_seconds_are_overhead_where_the_outcome_was_made_without_its_record(two: TwoWorkers) -> None:
    two.other.beat()
    two.outcome_of_the_frozen_without_the_record()
    two.kill_the_other()
    two.frozen.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))
    (entry,) = [one for one in two.entries() if OTHER in (one.execution or "")]
    assert entry.state is EntryState.OVERHEAD
    assert entry.usd == pytest.approx(two.other.spent_usd)


def test_seconds_that_were_recorded_as_the_job_was_given_back_are_overhead_then_too(two: TwoWorkers) -> None:
    two.other.beat()
    two.outcome_of_the_frozen_without_the_record()
    two.other.hand_over()
    for worker in (two.frozen, two.other):
        worker.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))


def test_an_outcome_made_of_the_record_has_what_a_killed_worker_cost(two: TwoWorkers) -> None:
    """The reconciler gives the upload up, or a third worker ends it."""
    two.other.beat()
    two.lapse()
    record = two.services.jobs.load(two.item.job_id)
    assert record is not None
    two.services.finisher.finish(record.record, failed(DropscribeError("Tried too often.")))
    two.kill_the_other()
    two.frozen.end(two.frozen_job)
    two.frozen.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))


def test_a_third_workers_bill_has_what_two_before_it_cost(cloud: LoopbackCloud, two: TwoWorkers) -> None:
    two.other.beat()
    two.kill_the_other()
    two.lapse()
    third = SteppedWorker(cloud, two.services, THIRD)
    job = third.claim(two.item)
    assert job is not None
    third.end(job)
    two.frozen.end(two.frozen_job)
    for worker in (two.frozen, third):
        worker.close()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other, third))


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "told to stop"])
def test_nothing_is_lost_where_the_frozen_one_goes_on_behind_the_others_last_booking(
    two: TwoWorkers, is_killed: bool
) -> None:
    """It stood still between its look at the record and the outcome, and the other one has ended by then."""
    two.other.beat()
    if is_killed:
        two.kill_the_other()
    else:
        two.other.hand_over()
        two.other.close()
    two.kill_the_other()  # a tick that finds no outcome yet
    assert len([*two.services.execution_costs.running(OTHER)]) == 1
    two.outcome_of_the_frozen_without_the_record()
    two.frozen.close()
    two.kill_the_other()
    assert two.booked_usd() == pytest.approx(two.cost_usd(two.frozen, two.other))
    assert [*two.services.execution_costs.running()] == []
    assert len(two.entries()) == 3
