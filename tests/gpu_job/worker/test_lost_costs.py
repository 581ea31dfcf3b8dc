"""What a job cost is not lost with a worker: calls are recorded before they are made, dropped bills are booked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.chain import EngineChain
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.jobs.claim import NOTHING_TO_DO, claim
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.clock import now
from shared.costs.bill import Bill, LineItemKind, deepgram_bill, instance_second_usd
from shared.costs.quote import Quote
from shared.enums import Engine, Method
from shared.errors import DropscribeError
from shared.messages import Decision
from shared.options.model import UploadOptions
from shared.state.job_result import failed
from shared.state.ledger_entry import EntryState, month_of
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.worker_services import MEDIA, as_task, queue_job, running_job, worker_services

CHUNK_SECONDS = 30
INSTANCE_SECONDS = 100.0


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    with worker_services() as made:
        yield made


@dataclass
class OneJobWorker:
    """The parts of a worker that look after what its one job costs. Its clock stands."""

    services: JobServices
    job: RunningJob

    def __post_init__(self) -> None:
        self.jobs = RunningJobs(1)
        self.jobs.add(self.job)
        self.billing = Billing(Meter(began=0.0), self.services, clock=lambda: INSTANCE_SECONDS)
        self.billing.open(self.job)
        heartbeat = Heartbeat(self.services, self.jobs, self.billing)
        self.listener = WorkerEngineListener(self.services, self.billing, heartbeat.record_costs)

    def call(self) -> ApiCall:
        """A chunk's call begins."""
        call = ApiCall(self.job.id, chunks=1, sent_samples=CHUNK_SECONDS * SAMPLE_RATE)
        self.listener.call_started(Engine.DEEPGRAM, call)
        return call


def begun(services: JobServices, cloud: LoopbackCloud, name: str = "calls/a.opus") -> OneJobWorker:
    _, item = queue_job(services, cloud, name)
    return OneJobWorker(services, running_job(claim(services, item).claimed))


def spent(services: JobServices, job_id: str) -> Bill:
    job = services.jobs.load(job_id)
    assert job is not None
    return job.record.spent


def deepgram_minutes(bill: Bill, *, possibly: bool) -> float:
    lines = [line for line in bill.items if line.kind is LineItemKind.DEEPGRAM]
    return sum(line.quantity for line in lines if line.possibly_billed is possibly)


def test_a_call_is_on_the_record_before_it_is_made(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    worker.call()
    bill = spent(services, worker.job.id)
    assert deepgram_minutes(bill, possibly=True) == pytest.approx(0.5)
    # The worker is killed here; another one takes the job over, and it fails.
    other = as_task(services, "transcribe-x8")
    services.jobs.save(worker.job.stored, lease_until=now())
    item = queue_job(services, cloud, "calls/b.opus", attempts=1)[1].model_copy(update={"job_id": worker.job.id})
    again = OneJobWorker(other, running_job(claim(other, item).claimed))
    bill = again.billing.final_bill(again.job)
    message = other.finisher.finish(again.job.record, failed(DropscribeError("No.")), bill)
    assert deepgram_minutes(message.bill, possibly=True) == pytest.approx(0.5)
    assert message.bill.possibly_usd == pytest.approx(
        deepgram_bill("nova-3", CHUNK_SECONDS, CHUNK_SECONDS * SAMPLE_RATE * 2, services.prices).usd
    )


def test_a_worker_killed_before_the_record_is_written_makes_no_call(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, called = begun(services, cloud), False
    with killed_at(1, monkeypatch=monkeypatch):
        worker.call()
        called = True
    assert not called
    assert spent(services, worker.job.id) == Bill()


def test_answers_and_refusals_change_what_is_possibly_billed(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    answered, refused, _ = worker.call(), worker.call(), worker.call()
    assert deepgram_minutes(spent(services, worker.job.id), possibly=True) == pytest.approx(1.5)
    worker.listener.call_answered(Engine.DEEPGRAM, answered)
    worker.listener.call_not_billed(Engine.DEEPGRAM, refused)
    bill = worker.billing.final_bill(worker.job)
    assert deepgram_minutes(bill, possibly=False) == pytest.approx(0.5)
    assert deepgram_minutes(bill, possibly=True) == pytest.approx(0.5)
    # What comes behind the bill changes no other attempt's.
    worker.listener.call_answered(Engine.DEEPGRAM, answered)
    worker.billing.open(worker.job)
    assert deepgram_minutes(worker.billing.final_bill(worker.job), possibly=False) == 0


def test_calls_at_once_are_all_on_the_record(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(lambda _: (worker.call(), spent(services, worker.job.id)), range(8)))
    assert all(deepgram_minutes(bill, possibly=True) >= 0.5 for _, bill in seen)
    assert deepgram_minutes(spent(services, worker.job.id), possibly=True) == pytest.approx(4.0)
    job = services.jobs.load(worker.job.id)
    assert job == worker.job.stored


def test_a_record_that_cannot_be_written_does_not_stop_a_call(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    cloud.storage_server.fail_next(3, 403, method="POST", name_prefix=f"jobs/{worker.job.id}/")
    worker.call()
    assert spent(services, worker.job.id) == Bill()
    worker.call()
    assert deepgram_minutes(spent(services, worker.job.id), possibly=True) == pytest.approx(1.0)


def test_a_dropped_bill_is_on_the_ledger(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    worker.listener.call_answered(Engine.DEEPGRAM, worker.call())
    # The function's late answer ends the job; its bill has what the record said until then.
    record = worker.job.record
    outcome = services.finisher.finish(record, failed(DropscribeError("The first.")), record.spent)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    attempt_end = AttemptEnd(services, subscription, worker.billing, EngineChain(), worker.jobs)
    for _ in range(2):
        worker.listener.call_answered(Engine.DEEPGRAM, worker.call())
    attempt_end.finish_job(worker.job, failed(DropscribeError("The second.")))
    worker.billing.close_execution()
    assert services.jobs.outcome(worker.job.id) == outcome
    entries = list(services.ledger.entries(month_of(now())))
    assert {entry.state for entry in entries} == {EntryState.BILLED, EntryState.OVERHEAD}
    called = deepgram_bill("nova-3", 3 * CHUNK_SECONDS, 3 * CHUNK_SECONDS * SAMPLE_RATE * 2, services.prices)
    instance_usd = INSTANCE_SECONDS * instance_second_usd(services.settings.shape, services.prices)
    assert sum(entry.usd for entry in entries) == pytest.approx(instance_usd + called.usd)


def test_a_bill_that_stands_is_on_the_ledger_once(cloud: LoopbackCloud, services: JobServices) -> None:
    worker = begun(services, cloud)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    attempt_end = AttemptEnd(services, subscription, worker.billing, EngineChain(), worker.jobs)
    attempt_end.finish_job(worker.job, failed(DropscribeError("No.")))
    (entry,) = services.ledger.entries(month_of(now()))
    assert entry.state is EntryState.BILLED


@pytest.mark.parametrize(("spent_usd", "allowed"), [(0.0, True), (0.4, False)])
def test_what_was_spent_counts_before_audio_goes_to_deepgram(
    cloud: LoopbackCloud, services: JobServices, spent_usd: float, allowed: bool
) -> None:
    quote = Quote(
        method=Method.DEEPGRAM, bill=deepgram_bill("nova-3", 3600, 0, services.prices), completion_seconds=36.0
    )
    minutes = spent_usd / services.prices.deepgram_minute_usd("nova-3")
    job, item = queue_job(
        services,
        cloud,
        decision=Decision(method=Method.PARAKEET, rule="small", reason="", quotes=(quote,)),
        options=UploadOptions(max_cost_usd=0.6),
        spent=deepgram_bill("nova-3", minutes * 60, 0, services.prices, possibly=True),
    )
    assert MEDIA.duration_seconds == item.media.duration_seconds
    assert running_job(claim(services, item).claimed).may_use_deepgram is allowed
    services.finisher.finish(job.record, failed(DropscribeError("No.")))
    assert claim(services, item) is NOTHING_TO_DO
