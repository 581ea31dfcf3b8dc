"""Each second of a worker is booked once, on an upload's bill or as overhead, wherever it is killed or told to stop.

`shared/state/execution_costs.py` says who books which when. A killed worker counts as dead from the moment on at which
it was killed, so what is booked is what it cost, to the second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import requests

from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.api_call import ApiCall
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.clock import now
from shared.costs.bill import Bill, instance_second_usd
from shared.costs.shard_plan import Shard
from shared.errors import DropscribeError
from shared.messages import WorkItem
from shared.operations.erase import erase
from shared.operations.rerun import RerunRequest, begin_rerun
from shared.state.job_result import failed
from shared.state.jobs.record import JobState
from shared.state.ledger import Booked
from shared.state.ledger_entry import Entry, month_of
from tests.support.fixed_word_worker import item_of, queued
from tests.support.killed_process import READS, ProcessKilled, killed_at
from tests.support.later_attempts import ONE_FORMAT
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.stepped_worker import SteppedWorker
from tests.support.worker_services import worker_services

SHARDS = (Shard(0, 0, 8), Shard(1, 8, None))
"""Of a recording of 19 s."""

WAITS_SECONDS = 1.0
"""For a thread that waits for this one, perhaps: for the write of the same object."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    monkeypatch.setenv("CHECKPOINT_SECONDS", "1000")
    monkeypatch.setenv("RESULT_FORMATS", ONE_FORMAT)
    with worker_services() as made:
        yield made


def entries(services: JobServices) -> list[Entry]:
    return [*services.ledger.entries(month_of(now()))]


def booked_usd(services: JobServices) -> float:
    return sum(entry.usd for entry in entries(services))


def book_killed(services: JobServices, worker: SteppedWorker) -> None:
    """Its object is found, and that it lived until now: of the steps, that is, which take no time of ours."""
    second_usd = instance_second_usd(services.settings.shape, services.prices)
    for costs in services.execution_costs.running(worker.services.task.execution):
        unseen = timedelta(seconds=max(0.0, worker.lived_usd - costs.spent_usd) / second_usd)
        known = costs.model_copy(update={"alive_until": costs.updated_at + unseen})
        services.execution_costs.update(known)
        services.execution_costs.close_killed(known, known.alive_until)


def book_what_is_left(services: JobServices) -> None:
    """The reconciler ticks, long behind that."""
    for costs in services.execution_costs.running():
        services.execution_costs.close_killed(costs, now() + timedelta(days=1))


def ends_at_once(worker: SteppedWorker, items: list[WorkItem]) -> None:
    """It never says what the upload cost before the outcome."""
    job = worker.claim(items[0])
    assert job is not None
    worker.end(job)


def ends_behind_a_beat(worker: SteppedWorker, items: list[WorkItem]) -> None:
    job = worker.claim(items[0])
    assert job is not None
    worker.beat()
    worker.end(job)


def gives_back(worker: SteppedWorker, items: list[WorkItem]) -> None:
    """And takes it again."""
    for ends in (worker.give_back, worker.end):
        job = worker.claim(items[0])
        assert job is not None
        ends(job)


def is_told_to_stop(worker: SteppedWorker, items: list[WorkItem]) -> None:
    for item in items:
        worker.claim(item)
    worker.hand_over()


def ends_shards(worker: SteppedWorker, items: list[WorkItem]) -> None:
    """The first one before a beat. The last upload is in shards."""
    whole = items[-1]
    for number in range(len(SHARDS)):
        job = worker.claim(whole.model_copy(update={"shard": number}))
        assert job is not None
        if number:
            worker.beat()
        worker.end(job)
    job = worker.claim(whole)
    assert job is not None
    worker.end(job)


def ends_two(worker: SteppedWorker, items: list[WorkItem]) -> None:
    """The second one begins behind the beat: the first one's record has all seconds until then."""
    first, second = begun_apart(worker, items, beats=1)
    worker.end(second)
    worker.end(first)


def gives_back_two(worker: SteppedWorker, items: list[WorkItem]) -> None:
    first, second = begun_apart(worker, items, beats=2)
    worker.give_back(second)
    worker.give_back(first)


def begun_apart(worker: SteppedWorker, items: list[WorkItem], beats: int) -> tuple[RunningJob, RunningJob]:
    first = worker.claim(items[0])
    for _ in range(beats):
        worker.beat()
    second = worker.claim(items[1])
    assert first is not None
    assert second is not None
    return first, second


LIVES = (ends_at_once, ends_behind_a_beat, gives_back, is_told_to_stop, ends_shards, ends_two, gives_back_two)
Life = Callable[[SteppedWorker, list[WorkItem]], None]


def two_uploads(cloud: LoopbackCloud, services: JobServices, name: str, life: Life) -> list[WorkItem]:
    jobs = [queued(cloud, services, f"{life.__name__}/{name}-{number}.opus") for number in range(2)]
    if life is ends_shards:
        jobs[1] = services.jobs.save(jobs[1], shards=SHARDS)
    cloud.work_items()
    return [item_of(job) for job in jobs]


def end_what_is_open(cloud: LoopbackCloud, services: JobServices, items: list[WorkItem], name: str) -> SteppedWorker:
    """Another execution does what is not done, once the leases have run out; then the reconciler ticks."""
    other = SteppedWorker(cloud, services, name)
    for item in items:
        whole = services.jobs.load(item.job_id)
        assert whole is not None
        if not services.jobs.markers.is_open(item.job_id):
            continue
        outcome = services.jobs.outcome(item.job_id)
        if outcome is not None:
            services.finisher.publish(outcome)
            continue
        # It is given up: nothing is left to do for a worker, and all that the records have is on the bill.
        record = whole.record.model_copy(update={"lease_until": now()})
        services.finisher.finish(record, failed(DropscribeError("Tried too often.")))
    other.close()
    return other


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of a hand-over that is killed
@pytest.mark.parametrize("life", LIVES)
def test_killed_before_any_effect(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch, life: Life
) -> None:
    cost_usd = 0.0
    for effect in count(1):
        items = two_uploads(cloud, services, str(effect), life)
        killed = SteppedWorker(cloud, services, f"transcribe-{effect}")
        killed.say()
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            life(killed, items)
            killed.close()
        if kill.happened:
            book_killed(services, killed)
        other = end_what_is_open(cloud, services, items, f"transcribe-other-{effect}")
        book_what_is_left(services)
        cost_usd += killed.lived_usd + other.lived_usd
        assert booked_usd(services) == pytest.approx(cost_usd, rel=1e-6), (effect, kill.kinds)
        assert [*services.execution_costs.running()] == [], effect
        if not kill.happened:
            break
    assert effect > 3


def assert_booked_once(
    cloud: LoopbackCloud, services: JobServices, killed: SteppedWorker, items: list[WorkItem]
) -> None:
    """Once the reconciler has found it, and another execution has ended what is open."""
    book_killed(services, killed)
    other = end_what_is_open(cloud, services, items, "transcribe-2")
    book_what_is_left(services)
    assert booked_usd(services) == pytest.approx(killed.lived_usd + other.lived_usd)


def test_killed_behind_a_beat_whose_word_was_not_stored(cloud: LoopbackCloud, services: JobServices) -> None:
    """It would have named the upload: so the upload's record has nothing of the worker's time, only what it called."""
    items = two_uploads(cloud, services, "only", ends_at_once)
    killed = SteppedWorker(cloud, services, "transcribe-1")
    killed.say()
    assert killed.claim(items[0]) is not None
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="open-executions/")
    killed.beat()
    record = services.jobs.load(items[0].job_id)
    assert record is not None
    assert record.record.spent == Bill()
    assert_booked_once(cloud, services, killed, items)


@pytest.mark.parametrize("is_told_to_stop", [False, True])
def test_killed_behind_a_job_given_back_whose_word_was_not_stored(
    cloud: LoopbackCloud, services: JobServices, is_told_to_stop: bool
) -> None:
    """The same of a job that it had to put back before any beat."""
    items = two_uploads(cloud, services, "only", ends_at_once)
    killed = SteppedWorker(cloud, services, "transcribe-1")
    killed.say()
    job = killed.claim(items[0])
    assert job is not None
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="open-executions/")
    if is_told_to_stop:
        killed.hand_over()
    else:
        killed.give_back(job)
    record = services.jobs.load(items[0].job_id)
    assert record is not None
    assert (record.record.state, record.record.spent) == (JobState.QUEUED, Bill())
    assert_booked_once(cloud, services, killed, items)


@pytest.mark.parametrize("beats", [True, False])
def test_a_call_to_deepgram_is_in_the_record_though_the_word_was_not_stored(
    cloud: LoopbackCloud, services: JobServices, beats: bool
) -> None:
    worker, item, job = begun(cloud, services, beats=0)
    worker.billing.call_started(ApiCall(job.id, chunks=1, sent_samples=30 * SAMPLE_RATE))
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="open-executions/")
    if beats:
        worker.beat()
    else:
        worker.give_back(job)
    record = services.jobs.load(item.job_id)
    assert record is not None
    assert record.record.spent.usd == record.record.spent.calls_usd > 0


@pytest.mark.parametrize("has_beaten", [False, True])
def test_a_worker_ends_while_a_thread_of_it_ends_an_upload(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch, has_beaten: bool
) -> None:
    """Before any effect of that thread."""
    cost_usd = 0.0
    for effect in count(1):
        (item, _) = two_uploads(cloud, services, str(effect), ends_at_once)
        worker = SteppedWorker(cloud, services, f"transcribe-{effect}")
        job = worker.claim(item)
        assert job is not None
        if has_beaten:
            worker.beat()
        with _before_effect(effect, worker.close, monkeypatch) as happened:
            worker.end(job)
        if not happened:
            worker.close()
        book_what_is_left(services)
        cost_usd += worker.lived_usd
        assert booked_usd(services) == pytest.approx(cost_usd), effect
        assert [*services.execution_costs.running()] == [], effect
        if not happened:
            break
    assert effect > 5


@contextmanager
def _before_effect(effect: int, call: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Inside, `call` is called before this write to Cloud Storage, on a thread of its own, and is over behind it; what
    it gives is not empty if that came."""
    request, seen, happened = requests.Session.request, count(1), list[int]()
    thread = threading.Thread(target=call)

    def counted(session: requests.Session, method: str, *args: Any, **options: Any) -> requests.Response:
        if method not in READS and not happened and next(seen) == effect:
            happened.append(effect)
            thread.start()
            thread.join(WAITS_SECONDS)
        return request(session, method, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(requests.Session, "request", counted)
        yield happened
        if happened:
            thread.join()


def begun(cloud: LoopbackCloud, services: JobServices, beats: int = 1) -> tuple[SteppedWorker, WorkItem, RunningJob]:
    (item, _) = two_uploads(cloud, services, "only", ends_at_once)
    worker = SteppedWorker(cloud, services, "transcribe-1")
    job = worker.claim(item)
    assert job is not None
    for _ in range(beats):
        worker.beat()
    return worker, item, job


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("read_at", [0, 1, 2, 3])
def test_somebody_else_ends_the_upload_with_an_earlier_record(
    cloud: LoopbackCloud, services: JobServices, read_at: int, is_killed: bool
) -> None:
    """With Deepgram's late answer, say: the function has read the record then, or before this worker wrote any."""
    worker, item, job = begun(cloud, services, beats=0)
    records = [job.record]
    for _ in range(3):
        worker.beat()
        records.append(job.record)
    services.finisher.finish(records[read_at], failed(DropscribeError("No.")))
    if is_killed:
        book_killed(services, worker)
    else:
        worker.end(job)
        worker.close()
    assert booked_usd(services) == pytest.approx(worker.lived_usd)
    assert [*services.execution_costs.running()] == []
    assert services.jobs.outcome(item.job_id) is not None


def test_the_upload_is_run_again_before_the_reconciler_looks(cloud: LoopbackCloud, services: JobServices) -> None:
    worker, item, job = begun(cloud, services)
    worker.end(job)
    begin_rerun(services.storage, services.jobs, item.job_id, RerunRequest(force=True))
    book_killed(services, worker)
    assert booked_usd(services) == pytest.approx(worker.lived_usd)
    assert [*services.execution_costs.running()] == []


@pytest.mark.parametrize("has_ended", [False, True])
def test_the_upload_is_erased_before_the_reconciler_looks(
    cloud: LoopbackCloud, services: JobServices, has_ended: bool
) -> None:
    worker, item, job = begun(cloud, services, beats=2)
    if has_ended:
        worker.end(job)
    erase(services, services.settings, item.job_id)
    book_killed(services, worker)
    assert booked_usd(services) == pytest.approx(worker.lived_usd)
    assert [*services.execution_costs.running()] == []


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_tick_that_looked_before_another_one_changes_nothing(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    """The slow tick has looked at the upload while it had no outcome; another one books it for good meanwhile."""
    worker, item, _ = begun(cloud, services)
    if not is_killed:
        worker.hand_over()
        worker.close()
    book, costs = services.ledger.book_overhead, services.execution_costs

    def slow(entry: Entry, before: Booked | None) -> bool:
        monkeypatch.undo()
        # Ended by somebody who has read no record of this worker's.
        record = whole.record.model_copy(update={"spent": Bill(), "lease_until": now() + timedelta(minutes=1)})
        services.finisher.finish(record, failed(DropscribeError("No.")))
        book_killed(services, worker)
        return book(entry, before)

    whole = services.jobs.load(item.job_id)
    assert whole is not None
    monkeypatch.setattr(services.ledger, "book_overhead", slow)
    (found,) = costs.running()
    costs.close_killed(found, found.updated_at)
    assert booked_usd(services) == pytest.approx(worker.lived_usd)
    assert [*costs.running()] == []


def test_a_worker_killed_in_its_end_is_booked_by_its_own_word(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is a guess, for it had said what it cost in all."""
    worker, item, _ = begun(cloud, services)
    worker.hand_over()
    with monkeypatch.context() as patched:
        patched.setattr(services.ledger, "book_overhead", _killed)
        with pytest.raises(ProcessKilled):
            worker.close()
    (left,) = services.execution_costs.running()
    assert left.has_ended
    other = end_what_is_open(cloud, services, [item], "transcribe-2")
    services.execution_costs.close_killed(left, now() + timedelta(minutes=5))
    assert booked_usd(services) == pytest.approx(worker.lived_usd + other.lived_usd)
    assert {entry.possibly_usd for entry in entries(services)} == {0.0}


def _killed(*_: Any) -> bool:
    raise ProcessKilled


def test_calls_to_deepgram_behind_the_last_word_take_nothing_from_the_time(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    """The record has their price: the worker was killed behind it."""
    worker, item, job = begun(cloud, services)
    said_usd = worker.spent_usd
    call = ApiCall(job.id, chunks=1, sent_samples=30 * SAMPLE_RATE)
    worker.billing.call_started(call)
    stored = services.jobs.load(item.job_id)
    assert stored is not None
    bill = worker.billing.accrued_bill(job)
    assert bill is not None
    stored = services.jobs.save(stored, spent=bill)
    services.finisher.finish(stored.record, failed(DropscribeError("No.")))
    (costs,) = services.execution_costs.running()
    services.execution_costs.close_killed(costs, costs.updated_at)
    assert bill.calls_usd > said_usd
    assert booked_usd(services) == pytest.approx(worker.lived_usd)


def test_every_word_of_a_worker_is_of_the_same_day(services: JobServices) -> None:
    """Its line in the ledger is found by that."""
    times = iter([100.0, 100.25, 100.5])
    billing = Billing(Meter(90.0), services, clock=lambda: next(times))
    assert len({billing.task_costs().began_at for _ in range(2)}) == 1
