"""How jobs leave a worker that must end: what counts as an attempt, and what the next one finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.worker.attempt_end import AttemptEnd
from gpu_job.worker.billing import Billing
from gpu_job.worker.claim import claim
from gpu_job.worker.meter import Meter
from gpu_job.worker.running_job import RunningJobs
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from shared.enums import Engine
from shared.state.jobs import JobState
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.worker_services import as_task, queue_job, running_job, worker_services
from trigger_function.reconcile import reconcile_all


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
    ("batch_timeout_seconds", "has_result", "attempts"),
    [(300.0, False, 0), (1e-9, False, 1), (1e-9, True, 0)],
    ids=["just begun", "stuck", "going on"],
)
def test_a_stopped_worker_counts_an_attempt_that_did_nothing_for_as_long_as_a_batch_may_take(
    cloud: LoopbackCloud, services: JobServices, batch_timeout_seconds: float, has_result: bool, attempts: int
) -> None:
    settings = services.settings.model_copy(update={"batch_timeout_seconds": batch_timeout_seconds})
    services = replace(services, settings=settings)
    queued, item = queue_job(services, cloud)
    job, billing = running_job(claim(services, item).claimed), Billing(Meter(time.monotonic()), services)
    billing.open(job)
    if has_result:
        job.chunk_transcribed(ChunkResult(0, 16000, Engine.PARAKEET_CPU))
    subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
    AttemptEnd(services, subscription, billing, engines(), RunningJobs(1)).hand_over([job])
    left = services.jobs.load(queued.id)
    assert left is not None
    assert (left.record.state, left.record.attempts) == (JobState.QUEUED, attempts)
    assert bool(left.record.last_error) == bool(attempts)
    assert len(services.checkpoints.load(queued.id)) == has_result
