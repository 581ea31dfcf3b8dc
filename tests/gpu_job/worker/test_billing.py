"""Bills of an execution's jobs and its overhead add up to its cost, whatever is killed or lost; speeds are learned."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.api_call import ApiCall
from gpu_job.engines.task import Task
from gpu_job.settings import JobSettings
from gpu_job.worker.billing.bills import Billing, UnbilledTime
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from shared.clock import now
from shared.costs.bill import Bill, LineItemKind, deepgram_bill, instance_second_usd
from shared.costs.gathering import Queue
from shared.costs.job_seconds import PricingContext, TranscriptionRequest
from shared.costs.prices import price_book
from shared.costs.quotes import quotes_for
from shared.costs.speeds import SHORTEST_DECODED_SECONDS, SHORTEST_HEARD_SECONDS, Observations
from shared.enums import Engine, Method
from shared.errors import EngineFailed
from shared.media import Media
from shared.settings.speeds import SpeedSettings
from shared.state.ledger_entry import EntryState, month_of
from tests.support.loopback_cloud import STATE, LoopbackCloud

MEDIA = Media(container="mp3", codec="mp3", duration_seconds=3600, sample_rate_hz=16000, channels=1, size_bytes=9)
CPU = Engine.PARAKEET_CPU


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    made = job_services(JobSettings(), TaskIdentity("transcribe-1", 0, 0))
    yield made
    made.publisher.stop()


@dataclass
class OneJob:
    """An attempt at a job, as Billing sees it."""

    id: str
    audio_seconds: float
    spent_before: Bill = field(default_factory=Bill)
    speakers_seconds: float = 0.0

    @property
    def job_id(self) -> str:
        return self.id

    @property
    def run(self) -> int:
        return 1

    @property
    def media(self) -> Media:
        return MEDIA.model_copy(update={"duration_seconds": self.audio_seconds})


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


def batch_of(jobs: list[OneJob], seconds: float) -> list[Task]:
    """A chunk of so many seconds of each job."""
    chunk = Chunk(0, np.zeros(int(seconds * SAMPLE_RATE), np.float32))
    return [Task(job.id, chunk, lambda result: None) for job in jobs]


def call_of(job: OneJob, seconds: float) -> ApiCall:
    """A call to Deepgram with so many seconds."""
    return ApiCall(job.id, chunks=1, sent_samples=int(seconds * SAMPLE_RATE))


def run_batch(
    billing: Billing, clock: Clock, jobs: list[OneJob], took: float, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """A batch with a second of each job that took so long; `meanwhile`: in the middle of it."""
    billing.batch_started(CPU)
    clock.at += took / 2
    meanwhile()
    clock.at += took / 2
    billing.batch_finished(CPU, batch_of(jobs, 1.0))


@dataclass
class Books:
    """What a random history of executions cost, and what was billed for it."""

    usd_per_second: float
    final: dict[str, Bill] = field(default_factory=dict)
    """Bills of jobs that ended."""
    record: dict[str, Bill] = field(default_factory=dict)
    """What the records of the others say was spent on them."""
    instance_seconds: float = 0.0
    deepgram_usd: float = 0.0
    overhead_usd: float = 0.0
    """On nobody's bill, but in the ledger."""

    @property
    def cost(self) -> float:
        return self.instance_seconds * self.usd_per_second + self.deepgram_usd

    @property
    def billed(self) -> float:
        return sum(bill.usd for bill in (*self.final.values(), *self.record.values()))


EVENTS = [*["open", "batch", "heartbeat"] * 2, "deepgram", "end", "give back", "bill not stored", "claim lost"]


def one_execution(services: JobServices, books: Books, chance: random.Random, names: Iterator[str]) -> None:
    """Jobs come, run, end, are given back or lost; then the execution ends, or is killed, perhaps behind a beat."""
    clock = Clock()
    task = TaskIdentity(f"transcribe-{uuid.uuid4().hex}", 0, 0)
    billing = Billing(Meter(began=clock.at), replace(services, task=task), clock=clock)
    began, running = clock.at, list[OneJob]()

    def heartbeat() -> None:
        for job in running:
            accrued = billing.accrued_bill(job)
            assert accrued is not None
            books.record[job.id] = accrued
            billing.bill_recorded(job, accrued)

    for _ in range(chance.randint(1, 15)):
        clock.at += chance.uniform(0, 30)
        event = chance.choice(EVENTS)
        if event == "open" or not running:
            waiting = [name for name in books.record if name not in {job.id for job in running}]
            name = chance.choice(waiting) if waiting and chance.random() < 0.5 else next(names)
            before = books.record.get(name, Bill())
            running.append(OneJob(name, chance.uniform(1, 7200), before, chance.choice((0.0, chance.uniform(0, 60)))))
            billing.open(running[-1])
        elif event == "batch":
            batched, took = chance.sample(running, chance.randint(1, len(running))), chance.uniform(0, 20)
            run_batch(billing, clock, batched, took, heartbeat if chance.random() < 0.5 else lambda: None)
        elif event == "deepgram":
            # Called twice: one call is turned away, and costs nothing.
            job, seconds = chance.choice(running), chance.uniform(0.1, 10)
            call, turned_away = call_of(job, seconds), call_of(job, seconds)
            billing.call_started(call)
            billing.call_started(turned_away)
            billing.call_not_billed(turned_away)
            if chance.random() < 0.5:
                billing.call_answered(call)
            samples = call.sent_samples
            sent = deepgram_bill("nova-3", samples / SAMPLE_RATE, samples * 2, services.prices)
            books.deepgram_usd += sent.usd
            billing.call_finished()
        elif event == "heartbeat":
            heartbeat()
        else:
            job = running.pop(chance.randrange(len(running)))
            bill = billing.final_bill(job)
            assert billing.accrued_bill(job) is None
            if event in {"end", "give back"}:
                (billing.bill_stored if event == "end" else billing.bill_recorded)(job, bill)
                books.record.pop(job.id, None)
                (books.final if event == "end" else books.record)[job.id] = bill
        # Were it killed now.
        costs = billing.task_costs()
        assert costs.on_bills_usd - costs.on_bills_calls_usd <= costs.spent_usd - costs.calls_usd + 1e-9
    if chance.random() < 0.5:
        if chance.random() < 0.5:
            heartbeat()
        costs, unseen = billing.task_costs(), chance.choice((0.0, chance.uniform(0, 30)))
        books.instance_seconds += clock.at - began + unseen
        books.overhead_usd += costs.overhead(ended_by=costs.updated_at + timedelta(seconds=unseen)).usd
        return
    for job in running:
        books.record[job.id] = billing.final_bill(job)
        billing.bill_recorded(job, books.record[job.id])
    clock.at += chance.uniform(0, 30)
    books.instance_seconds += clock.at - began
    billing.close_execution()
    name = f"executions/{task.execution}/0-0"
    (entry,) = [entry for entry in services.ledger.entries(month_of(now())) if entry.execution == name]
    books.overhead_usd += entry.usd
    assert entry.possibly_usd == 0
    unbilled = UnbilledTime.model_validate_json(services.state.blob(f"{name}.json").download_as_bytes())
    assert unbilled.instance_seconds == pytest.approx(clock.at - began)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_bills_and_overhead_are_what_executions_and_deepgram_cost(
    services: JobServices, seed: int, executions: int
) -> None:
    books, chance = Books(instance_second_usd(services.settings.shape, services.prices)), random.Random(seed)
    names = (f"job-{number}" for number in range(1000))
    for _ in range(executions):
        one_execution(services, books, chance, names)
    # Those that were given back or killed end with a bill of their record, as an attempt that cost nothing would.
    assert books.billed + books.overhead_usd == pytest.approx(books.cost, abs=1e-9)


def test_a_heartbeat_within_a_batch_leaves_its_time_to_the_batch(services: JobServices) -> None:
    """Whose it is shows when the batch is over: a job that is not in it has none of it in its record."""
    clock, jobs = Clock(), [OneJob("other", 60.0), OneJob("in batch", 60.0)]
    billing, records, began = Billing(Meter(began=clock.at), services, clock=clock), list[Bill](), clock.at
    for job in jobs:
        billing.open(job)
    clock.at += 10.0

    def heartbeat() -> None:
        records[:] = [bill for job in jobs if (bill := billing.accrued_bill(job)) is not None]

    run_batch(billing, clock, jobs[1:], took=20.0, meanwhile=heartbeat)
    second_usd = instance_second_usd(services.settings.shape, services.prices)
    assert [bill.usd for bill in records] == pytest.approx([5.0 * second_usd] * 2)
    ended = billing.final_bill(jobs[1])
    assert ended.usd == pytest.approx(25.0 * second_usd)
    assert ended.usd + records[0].usd == pytest.approx((clock.at - began) * second_usd)


def test_a_batch_that_hangs_keeps_no_time_from_records_once_its_engine_has_failed(services: JobServices) -> None:
    clock, job = Clock(), OneJob("job", 60.0)
    billing, began = Billing(Meter(began=clock.at), services, clock=clock), clock.at
    billing.open(job)
    billing.batch_started(CPU)
    clock.at += 300.0
    WorkerEngineListener(services, billing, lambda _: None).engine_failed(CPU, EngineFailed("It hangs."), [job.id])
    bill = billing.accrued_bill(job)
    assert bill is not None
    assert bill.usd == pytest.approx((clock.at - began) * instance_second_usd(services.settings.shape, services.prices))


def test_the_ledger_has_what_is_on_no_bill(services: JobServices) -> None:
    clock, job = Clock(), OneJob("job", 60.0)
    billing = Billing(Meter(began=clock.at), services, clock=clock)
    billing.open(job)
    run_batch(billing, clock, [job], took=20.0)
    bill = billing.final_bill(job)
    billing.bill_stored(job, bill)
    clock.at += 5.0
    billing.close_execution()
    (entry,) = services.ledger.entries(month_of(now()))
    assert entry.state is EntryState.OVERHEAD
    assert entry.usd == pytest.approx(5.0 * instance_second_usd(services.settings.shape, services.prices))


def test_a_final_bill_has_earlier_attempts_and_what_was_sent_to_deepgram(services: JobServices) -> None:
    clock = Clock()
    billing = Billing(Meter(began=clock.at), services, clock=clock)
    before = deepgram_bill("nova-3", 30, 9, price_book())
    job = OneJob("job", 60.0, spent_before=before)
    billing.open(job)
    billing.call_started(call_of(job, 600.0))
    run_batch(billing, clock, [job], took=20.0)
    accrued, bill = billing.accrued_bill(job), billing.final_bill(job)
    assert bill == accrued
    assert bill.items[: len(before.items)] == before.items
    minutes = [item.quantity for item in bill.items if item.kind is LineItemKind.DEEPGRAM]
    assert minutes == pytest.approx([0.5, 10.0])
    assert bill.usd_of(kind=LineItemKind.CPU) == pytest.approx(20.0 * services.settings.job_vcpu * 0.000018)


@pytest.mark.parametrize(("took", "for_speakers"), [(20.0, 0.0), (26.0, 6.0), (90.0, 10.0)])
def test_a_bill_says_what_telling_speakers_apart_took_beyond_the_batches(
    services: JobServices, took: float, for_speakers: float
) -> None:
    """20 s of batches, then 10 s in which none ran."""
    clock, job = Clock(), OneJob("job", 60.0, speakers_seconds=took)
    billing = Billing(Meter(began=clock.at), services, clock=clock)
    billing.open(job)
    run_batch(billing, clock, [job], took=20.0)
    clock.at += 10.0
    accrued, bill = billing.accrued_bill(job), billing.final_bill(job)
    assert bill == accrued
    usd_per_second = instance_second_usd(services.settings.shape, services.prices)
    lines = [item for item in bill.items if item.resource.endswith(" (telling speakers apart)")]
    assert sum(item.usd for item in lines) == pytest.approx(for_speakers * usd_per_second)
    assert bill.usd == pytest.approx(30.0 * usd_per_second)


def test_a_call_that_fails_after_the_final_bill_takes_nothing_from_the_next_attempt(services: JobServices) -> None:
    clock, job = Clock(), OneJob("job", 60.0)
    billing = Billing(Meter(began=clock.at), services, clock=clock)
    billing.open(job)
    call = call_of(job, 60.0)
    billing.call_started(call)
    assert billing.final_bill(job).usd_of(kind=LineItemKind.DEEPGRAM) > 0
    again = replace(job)
    billing.open(again)
    other = call_of(again, 60.0)
    billing.call_started(other)
    billing.call_not_billed(call)
    assert [item.possibly_billed for item in billing.final_bill(again).items] == [True, True]


def test_speeds_of_decoders_and_of_speakers_are_learned_and_move_the_quotes(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    initial = SpeedSettings().initial_speeds(None)
    for number in range(4):
        task = TaskIdentity(f"transcribe-{number}", 0, 0)
        billing = Billing(Meter(began=0.0), replace(services, task=task), clock=Clock())
        billing.record_decoding(audio_seconds=1200.0, wall_seconds=300.0)
        billing.record_decoding(audio_seconds=400.0, wall_seconds=100.0)
        billing.record_decoding(audio_seconds=SHORTEST_DECODED_SECONDS / 2, wall_seconds=1000.0)
        billing.record_speakers(audio_seconds=600.0, wall_seconds=300.0)
        billing.record_speakers(audio_seconds=SHORTEST_HEARD_SECONDS / 2, wall_seconds=1000.0)
        billing.close_execution()
    stored = Observations.model_validate_json(cloud.storage.bucket(STATE).blob("speeds.json").download_as_bytes())
    assert stored.figures["decode_x_real_time"] == (4.0, 4.0, 4.0, 4.0)
    learned = services.speeds.speeds(initial)
    assert learned.decode_x_real_time == 4.0
    pricing = PricingContext(services.prices, services.settings.shape, initial, "nova-3", idle_seconds=5.0)
    before, after = (
        next(one for one in quotes_for(TranscriptionRequest(MEDIA), context, Queue(running=True)))
        for context in (pricing, replace(pricing, speeds=learned))
    )
    assert before.method is after.method is Method.PARAKEET
    assert after.completion_seconds == pytest.approx(3600 / 4.0)
    assert after.completion_seconds > before.completion_seconds
    assert after.bill.usd > before.bill.usd
    assert stored.figures[f"speakers_x_real_time/{services.settings.shape.device}"] == (2.0, 2.0, 2.0, 2.0)
    request = TranscriptionRequest(MEDIA, speakers=True)
    (told_apart,) = (
        one
        for one in quotes_for(request, replace(pricing, speeds=learned), Queue(running=True))
        if one.method is Method.PARAKEET
    )
    assert told_apart.completion_seconds == pytest.approx(3600 / 2.0)
    assert told_apart.bill.usd > after.bill.usd


def test_decoders_that_were_not_measured_are_not_observed(cloud: LoopbackCloud, services: JobServices) -> None:
    clock, job = Clock(), OneJob("job", 60.0)
    billing = Billing(Meter(began=clock.at), services, clock=clock)
    billing.open(job)
    run_batch(billing, clock, [job], took=0.5)
    billing.close_execution()
    stored = Observations.model_validate_json(cloud.storage.bucket(STATE).blob("speeds.json").download_as_bytes())
    assert stored.figures == {"x_real_time/cpu": (2.0,)}
