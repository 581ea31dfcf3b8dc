"""How jobs leave a worker that must end: what counts as an attempt, and what the next one finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.enums import Engine
from shared.state.jobs.record import Job, JobState
from shared.state.jobs.store import JobStore
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.sounds import make, raw, silence
from tests.support.waiting import PATIENCE, wait_until
from tests.support.worker_services import MEDIA, as_task, queue_job, running_job, worker_services
from trigger_function.reconciler.open_jobs import reconcile_all


@pytest.fixture
def services(cloud: LoopbackCloud) -> Iterator[JobServices]:
    with worker_services() as made:
        yield made


def engines() -> EngineChain:
    """A chain that works, as far as anyone asks it."""
    chain = EngineChain()
    chain.add(LocalEngine(Engine.PARAKEET_CPU, "counting", FakeRecognizer, 1000.0, chain))
    return chain


def test_the_reconciler_leaves_a_job_that_was_handed_over_to_the_tasks_next_attempt(
    cloud: LoopbackCloud, services: JobServices, make_services: MakeServices
) -> None:
    """A tick before the attempt holds the lease: nothing failed, and nothing need be launched or queued."""
    queued, item = queue_job(services, cloud)
    job, billing = running_job(claim(services, item).claimed), Billing(Meter(time.monotonic()), services)
    billing.open(job)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    AttemptEnd(services, subscription, billing, engines(), RunningJobs(1)).hand_over([job])
    function = make_services()
    assert reconcile_all(function) == {"waiting": 1}
    assert (cloud.work_items(), cloud.executions()) == ([], [])
    assert function.gpu.health().failures == {}
    left = services.jobs.load(queued.id)
    assert left is not None
    assert left.record.dispatches == 0
    assert claim(as_task(services, services.task.execution, attempt=1), item).claimed is not None


@pytest.mark.parametrize(
    ("batch_timeout_seconds", "has_result", "lost_before", "attempts", "lost"),
    [(300.0, False, 0, 0, 0), (1e-9, False, 0, 0, 1), (1e-9, False, 1, 1, 2), (1e-9, True, 0, 0, 0)],
    ids=["just begun", "stuck", "stuck alone", "going on"],
)
def test_a_stopped_worker_counts_an_attempt_that_did_nothing_for_as_long_as_a_batch_may_take(
    cloud: LoopbackCloud,
    services: JobServices,
    batch_timeout_seconds: float,
    has_result: bool,
    lost_before: int,
    attempts: int,
    lost: int,
) -> None:
    settings = services.settings.model_copy(update={"batch_timeout_seconds": batch_timeout_seconds})
    services = replace(services, settings=settings)
    queued, item = queue_job(services, cloud, lost_attempts=lost_before)
    job, billing = running_job(claim(services, item).claimed), Billing(Meter(time.monotonic()), services)
    billing.open(job)
    if has_result:
        job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    AttemptEnd(services, subscription, billing, engines(), RunningJobs(1)).hand_over([job])
    left = services.jobs.load(queued.id)
    assert left is not None
    assert (left.record.state, left.record.attempts, left.record.lost_attempts) == (JobState.QUEUED, attempts, lost)
    assert bool(left.record.last_error) == (lost > lost_before)
    assert len(services.checkpoints.load(queued.id)) == has_result


@pytest.mark.parametrize(("has_results", "lost"), [(True, 0), (False, 1)])
def test_a_stopped_attempt_that_assembles_what_others_transcribed_is_not_taken_for_hung(
    cloud: LoopbackCloud, services: JobServices, tmp_path: Path, has_results: bool, lost: int
) -> None:
    settings = services.settings.model_copy(update={"batch_timeout_seconds": 1e-9})
    services = replace(services, settings=settings)
    long = MEDIA.model_copy(update={"duration_seconds": 86_400.0})
    queued, item = queue_job(services, cloud, media=long)
    work, billing = running_job(claim(services, item).claimed), Billing(Meter(time.monotonic()), services)
    billing.open(work)
    if has_results:  # without a sound, so no chunk waits for an engine
        work.transcription.feed(make(tmp_path / "silence.wav", *raw(tmp_path / "silence.raw", silence(1.0))))
        assert work.transcription.has_results
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    AttemptEnd(services, subscription, billing, engines(), RunningJobs(1)).hand_over([work])
    left = services.jobs.load(queued.id)
    assert left is not None
    assert (left.record.state, left.record.lost_attempts) == (JobState.QUEUED, lost)


def begun(cloud: LoopbackCloud, services: JobServices, names: Sequence[str]) -> tuple[list[RunningJob], AttemptEnd]:
    """Jobs that run with a first result each, and what ends their attempts."""
    work, billing = [], Billing(Meter(time.monotonic()), services)
    for name in names:
        job = running_job(claim(services, queue_job(services, cloud, name)[1]).claimed)
        billing.open(job)
        job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
        work.append(job)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    return work, AttemptEnd(services, subscription, billing, engines(), RunningJobs(len(work)))


def test_jobs_are_handed_over_at_once_not_one_after_the_other(
    cloud: LoopbackCloud, services: JobServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, try_save = threading.Barrier(4), JobStore.try_save

    def save(store: JobStore, job: Job, **changes: Any) -> Job | None:
        if changes.get("state") is JobState.QUEUED:
            together.wait(PATIENCE)
        return try_save(store, job, **changes)

    jobs, end = begun(cloud, services, ["a.opus", "b.opus", "c.opus", "d.opus"])
    monkeypatch.setattr(JobStore, "try_save", save)
    end.hand_over(jobs, PATIENCE)
    left = [job.record for one in jobs if (job := services.jobs.load(one.id))]
    assert [(record.state, record.attempts) for record in left] == [(JobState.QUEUED, 0)] * 4
    assert [len(services.checkpoints.load(one.id)) for one in jobs] == [1] * 4


def test_storage_that_stalls_for_one_job_holds_up_no_other_and_not_the_worker(
    cloud: LoopbackCloud, services: JobServices
) -> None:
    work, end = begun(cloud, services, ["stalled.opus", "sound.opus"])
    # Its record can be read and not written, for as long as this block lasts.
    with cloud.storage_server.hold("POST", f"jobs/{work[0].id}/"):
        end.hand_over(work)
        states = [job.record.state for one in work if (job := services.jobs.load(one.id))]
        assert states == [JobState.RUNNING, JobState.QUEUED]


def test_whoever_hands_over_last_waits_for_what_others_began(cloud: LoopbackCloud, services: JobServices) -> None:
    """The process must not end, nor count its costs, while the thread that the signal woke still writes records."""
    queued, item = queue_job(services, cloud)
    job, billing = running_job(claim(services, item).claimed), Billing(Meter(time.monotonic()), services)
    billing.open(job)
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    end = AttemptEnd(services, subscription, billing, engines(), RunningJobs(1))
    states: list[JobState] = []

    def hand_over() -> None:
        end.hand_over([job], within_seconds=PATIENCE)
        left = services.jobs.load(queued.id)
        assert left is not None
        states.append(left.record.state)

    threads = [threading.Thread(target=hand_over, daemon=True) for _ in range(2)]
    with cloud.storage_server.hold("POST", f"jobs/{queued.id}/record.json"):
        threads[0].start()
        wait_until(lambda: job.is_ended, "the first to end the attempt")
        threads[1].start()
        threads[1].join(0.5)
        assert states == []
    for thread in threads:
        thread.join(PATIENCE)
    assert states == [JobState.QUEUED, JobState.QUEUED]
