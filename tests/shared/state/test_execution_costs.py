"""What killed executions cost beyond the bills is booked once, the seconds that nobody saw as possibly billed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from errno import ENOTEMPTY

import pytest
from google.cloud.storage import Bucket

from gpu_job.worker.admission import Admissions
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import JobServices, TaskIdentity
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from shared import objects
from shared.clock import now
from shared.costs.bill import instance_second_usd
from shared.errors import DropscribeError
from shared.media import Upload
from shared.state.execution_costs import RecordedCost, TaskCosts
from shared.state.job_result import failed
from shared.state.ledger import Booked
from shared.state.ledger_entry import Entry, EntryState, month_of
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.waiting import wait_until
from tests.support.worker_services import TASK, FakeModelServices, worker_services
from trigger_function.reconciler.open_jobs import reconcile_all

USD_PER_SECOND = 0.001
UNSEEN_USD = 60 * USD_PER_SECOND


@pytest.fixture
def killed() -> TaskCosts:
    """Of a worker whose last beat was two minutes ago, and whose lease ended a minute ago."""
    at = now()
    return TaskCosts(
        execution=TASK.execution,
        index=0,
        attempt=0,
        began_at=at - timedelta(minutes=10),
        updated_at=at - timedelta(minutes=2),
        alive_until=at - timedelta(minutes=1),
        spent_usd=0.48,
        on_bills_usd=0.40,
        usd_per_second=USD_PER_SECOND,
    )


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("HEARTBEAT_SECONDS", "0.2")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    with worker_services(TaskIdentity(TASK.execution, 0, 1)) as made:
        yield made


def booked(services: JobServices, costs: TaskCosts) -> list[Entry]:
    entries = services.ledger.entries(month_of(costs.began_at))
    return [entry for entry in entries if entry.execution == costs.name]


def test_the_reconciler_books_what_a_killed_execution_cost_once(
    services: JobServices, make_services: MakeServices, killed: TaskCosts
) -> None:
    services.execution_costs.update(killed)
    for _ in range(2):
        reconcile_all(make_services(JOB_GPU="nvidia-l4"))
        (entry,) = booked(services, killed)
        assert entry.state is EntryState.OVERHEAD
        assert entry.possibly_usd == pytest.approx(UNSEEN_USD)
        assert entry.usd == pytest.approx(0.08 + UNSEEN_USD)
        assert not list(services.execution_costs.running())


def test_the_reconciler_leaves_an_execution_alone_that_shows_life(
    services: JobServices, make_services: MakeServices, killed: TaskCosts
) -> None:
    services.execution_costs.update(killed.model_copy(update={"alive_until": now() + timedelta(minutes=5)}))
    reconcile_all(make_services(JOB_GPU="nvidia-l4"))
    assert booked(services, killed) == []
    assert len(list(services.execution_costs.running())) == 1


def test_an_unreadable_object_stops_neither_the_others_nor_the_jobs(
    services: JobServices, make_services: MakeServices, killed: TaskCosts
) -> None:
    services.state.blob("open-executions/a/0-0.json").upload_from_string(b"not costs")
    services.execution_costs.update(killed)
    reconcile_all(make_services(JOB_GPU="nvidia-l4"))
    assert len(booked(services, killed)) == 1


def test_the_tasks_next_attempt_books_no_second_of_its_own_life(
    cloud: LoopbackCloud, services: JobServices, killed: TaskCosts
) -> None:
    """Attempt 0 was killed; attempt 1 began half a minute after its last beat. Another task's costs are not its."""

    began = time.monotonic() - 90.0
    other = killed.model_copy(update={"index": 1})
    killed = killed.model_copy(update={"alive_until": now() + timedelta(minutes=5)})
    for costs in (killed, other):
        services.execution_costs.update(costs)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    services = FakeModelServices(**vars(services))
    assert Worker(services, subscription, Billing(Meter(began), services)).run()
    (entry,) = booked(services, killed)
    assert entry.possibly_usd == pytest.approx(30 * USD_PER_SECOND, abs=30 * USD_PER_SECOND)
    assert 0 < entry.possibly_usd < UNSEEN_USD
    assert booked(services, other) == []
    assert list(services.execution_costs.running()) == [other]
    # Its own life is booked when it ends.
    (own,) = booked(services, killed.model_copy(update={"attempt": 1}))
    assert own.usd > 90 * services.settings.job_vcpu * 0.000018


def test_the_reconciler_books_no_second_of_the_tasks_next_attempt(
    services: JobServices, make_services: MakeServices, killed: TaskCosts
) -> None:
    """Which began 20 s behind its last word, and could not book it. Another task's attempts say nothing."""
    began_at = killed.updated_at + timedelta(seconds=15)
    later = [
        killed.model_copy(update={"attempt": attempt, "began_at": began_at + timedelta(seconds=5 * attempt)})
        for attempt in (1, 2)
    ]
    other = killed.model_copy(update={"index": 1, "attempt": 1, "began_at": killed.updated_at})
    for costs in (killed, *later, other):
        services.execution_costs.update(costs)
    reconcile_all(make_services(JOB_GPU="nvidia-l4"))
    (entry,) = booked(services, killed)
    assert entry.possibly_usd == pytest.approx(20 * USD_PER_SECOND)


def test_a_killed_attempt_that_cannot_be_booked_keeps_no_other_one(
    cloud: LoopbackCloud, services: JobServices, killed: TaskCosts
) -> None:
    recorded = RecordedCost(job_id="a" * 24, run=1)
    services.state.blob(f"jobs/{recorded.job_id}/record.json").upload_from_string(b"")
    first, second = killed.model_copy(update={"recorded": (recorded,)}), killed.model_copy(update={"attempt": 1})
    for costs in (first, second):
        services.execution_costs.update(costs)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    services = FakeModelServices(**{**vars(services), "task": TaskIdentity(TASK.execution, 0, 2)})
    assert Worker(services, subscription, Billing(Meter(time.monotonic()), services)).run()
    assert [len(booked(services, costs)) for costs in (first, second)] == [0, 1]


def test_a_worker_that_was_only_taken_for_dead_replaces_the_guess(services: JobServices, killed: TaskCosts) -> None:
    services.execution_costs.update(killed)
    services.execution_costs.close_killed(killed, now())
    ended = killed.model_copy(update={"spent_usd": 0.5})
    services.execution_costs.close(lambda: ended)
    services.execution_costs.close_killed(killed, now())
    (entry,) = booked(services, killed)
    assert (entry.usd, entry.possibly_usd) == (pytest.approx(0.1), 0.0)


def test_of_a_worker_that_was_frozen_and_killed_behind_that_the_last_word_counts(
    services: JobServices, killed: TaskCosts
) -> None:
    """Its jobs' bills have by then what nobody knew whose it was: the start-up, and its time until it was killed."""
    frozen, gone = (
        killed,
        killed.model_copy(
            update={
                "updated_at": killed.updated_at + timedelta(seconds=30),
                "alive_until": killed.alive_until + timedelta(seconds=30),
                "spent_usd": killed.spent_usd + 1.0,
                "on_bills_usd": killed.spent_usd + 0.75,
            }
        ),
    )
    for costs in (frozen, gone, frozen):
        services.execution_costs.close_killed(costs, now() + timedelta(minutes=5))
    (entry,) = booked(services, killed)
    assert entry.usd - entry.possibly_usd == pytest.approx(0.25)


def test_what_a_worker_writes_while_it_is_booked_as_killed_is_kept_and_booked_next(
    services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen, goes on for a beat between the guess and the object's deletion, and is killed then."""
    costs, ledger = services.execution_costs, services.ledger
    last = killed.model_copy(
        update={"updated_at": killed.alive_until, "alive_until": now(), "spent_usd": killed.spent_usd + 0.5}
    )
    costs.update(killed)
    book_overhead = ledger.book_overhead

    def booked_before_it_writes(entry: Entry, before: Booked | None) -> bool:
        is_booked = book_overhead(entry, before)
        costs.update(last)
        return is_booked

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "book_overhead", booked_before_it_writes)
        costs.close_killed(killed, now())
    assert [*costs.running()] == [last]
    costs.close_killed(last, last.updated_at)
    assert [*costs.running()] == []
    (entry,) = booked(services, killed)
    assert (entry.usd, entry.possibly_usd) == (pytest.approx(0.58), 0.0)


def test_what_has_changed_between_the_look_and_the_deletion_is_kept(
    services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs, read = services.execution_costs, objects.read
    last = killed.model_copy(update={"updated_at": killed.alive_until})
    costs.update(killed)

    def read_before_it_writes(bucket: Bucket, name: str) -> objects.Versioned | None:
        stored = read(bucket, name)
        costs.update(last)
        return stored

    with monkeypatch.context() as patched:
        patched.setattr(objects, "read", read_before_it_writes)
        costs.close_killed(killed, now())
    assert [*costs.running()] == [last]


@pytest.mark.parametrize("slow", ["ledger's line", "deletion"])
def test_the_time_that_booking_takes_is_booked(
    services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """Cloud Storage takes 8 s for one of its calls; the instance is billed meanwhile."""
    costs, spent = services.execution_costs, [0.5]
    book_overhead, delete = services.ledger.book_overhead, objects.delete

    def takes_long(call: str) -> None:
        if call == slow and len(spent) == 1:
            spent.append(spent[-1] + 8 * USD_PER_SECOND)

    def slowly_booked(entry: Entry, before: Booked | None) -> bool:
        takes_long("ledger's line")
        return book_overhead(entry, before)

    def slowly_deleted(bucket: Bucket, name: str) -> bool:
        takes_long("deletion")
        return delete(bucket, name)

    monkeypatch.setattr(services.ledger, "book_overhead", slowly_booked)
    monkeypatch.setattr(objects, "delete", slowly_deleted)
    costs.update(killed)
    costs.close(lambda: killed.model_copy(update={"spent_usd": spent[-1]}))
    (entry,) = booked(services, killed)
    assert entry.usd == pytest.approx(0.508 - killed.on_bills_usd)
    assert [*costs.running()] == []


def test_a_worker_books_once_more_where_storage_is_slow_all_the_time(
    services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is billed for each booking, which would have to be booked again."""
    costs, spent = services.execution_costs, [0.5]
    book_overhead = services.ledger.book_overhead

    def slowly_booked(entry: Entry, before: Booked | None) -> bool:
        spent.append(spent[-1] + 8 * USD_PER_SECOND)
        return book_overhead(entry, before)

    monkeypatch.setattr(services.ledger, "book_overhead", slowly_booked)
    costs.close(lambda: killed.model_copy(update={"spent_usd": spent[-1]}))
    (entry,) = booked(services, killed)
    assert (entry.usd, len(spent)) == (pytest.approx(0.508 - killed.on_bills_usd), 3)


def test_an_upload_that_ends_while_its_worker_books_hides_none_of_the_time_that_takes(
    services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's object says what it cost before: whoever books by that later knows less than the ledger has."""
    upload = Upload(bucket="uploads", name="a.wav", generation=1)
    job = services.jobs.claim(upload, "a worker", timedelta(minutes=5))
    assert job is not None
    costs, spent = services.execution_costs, [0.5]
    book_overhead = services.ledger.book_overhead

    def slowly_booked(entry: Entry, before: Booked | None) -> bool:
        if len(spent) == 1:
            spent.append(spent[-1] + 8 * USD_PER_SECOND)
            services.finisher.finish(job.record, failed(DropscribeError("No.")))
        return book_overhead(entry, before)

    monkeypatch.setattr(services.ledger, "book_overhead", slowly_booked)
    recorded = (RecordedCost(job_id=upload.job_id, run=1, work_id=upload.job_id),)
    costs.update(killed)
    costs.close(lambda: killed.model_copy(update={"spent_usd": spent[-1], "recorded": recorded}))
    for one in costs.running():
        costs.close_killed(one, now())
    (entry,) = booked(services, killed)
    assert entry.usd == pytest.approx(0.508 - killed.on_bills_usd)
    assert [*costs.running()] == []


def test_what_a_worker_waits_for_at_its_end_is_booked(
    cloud: LoopbackCloud, services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress that is published late, say. Meanwhile it says what it costs, for whoever finds it killed."""
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    services = FakeModelServices(**vars(services))
    flushed_at = []

    def flush_slowly() -> None:
        waits_since = now()
        wait_until(
            lambda: [one for one in services.execution_costs.running() if one.updated_at > waits_since], "a word"
        )
        flushed_at.append(time.monotonic())

    monkeypatch.setattr(services.events, "flush", flush_slowly)
    began = time.monotonic()
    assert Worker(services, subscription, Billing(Meter(began), services)).run()
    assert [*services.execution_costs.running()] == []
    (own,) = booked(services, killed.model_copy(update={"attempt": 1}))
    second_usd = instance_second_usd(services.settings.shape, services.prices)
    assert own.usd >= (flushed_at[0] - began) * second_usd


@pytest.mark.parametrize("fails", ["folder", "progress"])
def test_a_worker_that_cannot_end_tidily_books_what_it_cost(
    cloud: LoopbackCloud, services: JobServices, killed: TaskCosts, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A decoder still writes into the folder that is deleted, say: all work is done, and another attempt would only
    cost more."""

    def fail(*_: object) -> None:
        raise OSError(ENOTEMPTY, "Directory not empty")

    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    services = FakeModelServices(**vars(services))
    worker = Worker(services, subscription, Billing(Meter(time.monotonic()), services))
    if fails == "folder":
        monkeypatch.setattr(Admissions, "close", fail)
        assert worker.run()
    else:
        monkeypatch.setattr(services.events, "flush", fail)
        with pytest.raises(OSError, match="not empty"):
            worker.run()
    assert [*services.execution_costs.running()] == []
    assert len(booked(services, killed.model_copy(update={"attempt": 1}))) == 1
