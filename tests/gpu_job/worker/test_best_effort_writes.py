"""What is written only to help later work must not end the work of now, whatever Google's libraries raise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from queue import Queue

import numpy as np
import pytest

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.engines.task import Task
from gpu_job.periodic import PeriodicTask
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.services import JobServices
from shared.costs.speeds import SpeedStore
from shared.enums import Engine
from shared.errors import FailureKind
from shared.state.gpu_breaker import Breaker, BreakerPolicy
from tests.support.failing_credentials import state_bucket_without_credentials
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import worker_services

MINUTE = timedelta(minutes=1)


@pytest.fixture
def services(cloud: LoopbackCloud) -> Iterator[JobServices]:
    """Of a worker that gets no token for the state bucket any more."""
    with worker_services() as made:
        yield replace(made, state=state_bucket_without_credentials())


def test_batch_sizes_that_cannot_be_stored_cost_no_engine(services: JobServices) -> None:
    recognizer, chain, parts = FakeRecognizer(room_for=1), EngineChain(), Queue[ChunkResult]()
    listener = WorkerEngineListener(services, Billing(Meter(time.monotonic()), services), lambda _: None)
    engine = LocalEngine(Engine.PARAKEET_CPU, "counting", lambda: recognizer, 1000.0, chain, listener)
    chain.add(engine)
    recognizer.gate.set()
    for at in range(4):
        engine.submit(Task("job", Chunk(at, np.zeros(SAMPLE_RATE, np.float32)), parts.put), wait=False)
    chain.start()
    assert all(parts.get(timeout=PATIENCE).failure is None for _ in range(4))
    assert engine.failure is None
    chain.stop()


@pytest.mark.usefixtures("cloud")
def test_a_breaker_that_cannot_be_written_stops_nobody() -> None:
    breaker = Breaker(state_bucket_without_credentials(), BreakerPolicy(3, MINUTE, MINUTE, MINUTE))
    breaker.record_failure(FailureKind.INTERNAL, "job")
    breaker.record_success("job")


@pytest.mark.usefixtures("cloud")
def test_speeds_that_cannot_be_stored_are_lost() -> None:
    assert not SpeedStore(state_bucket_without_credentials()).observe({"x_real_time/cpu": 1.0})


def test_a_tick_that_fails_is_not_the_last_one() -> None:
    again = threading.Event()

    class Failing(PeriodicTask):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1
            if self.ticks > 1:
                again.set()
            raise ValueError("no")

    with Failing("failing", 0.01):
        assert again.wait(PATIENCE)
