"""A worker that is told to stop while one of its own calls does not come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gpu_job.worker.subscription import WorkSubscription
from shared.state.jobs.record import JobState
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.fixed_word_worker import fixed_word_services, queued, worker
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE, wait_until
from tests.support.worker_services import FakeModelServices


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModelServices]:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield FakeModelServices(**vars(made), recognizer=FakeRecognizer())


def test_jobs_are_handed_over_though_the_thread_that_pulls_waits_for_storage(
    cloud: LoopbackCloud, services: FakeModelServices
) -> None:
    running, stuck = (queued(cloud, services, f"{name}.opus") for name in ("running", "stuck"))
    stopped = worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC)))
    thread = threading.Thread(target=stopped.run, daemon=True)

    def state() -> JobState | None:
        job = services.jobs.load(running.id)
        return job.record.state if job is not None else None

    with cloud.storage_server.hold("GET", f"jobs/{stuck.id}/"):
        thread.start()
        wait_until(lambda: state() is JobState.RUNNING, "the first upload at work")
        stopped.stop_at_once()
        assert thread.is_alive()
        assert state() is JobState.QUEUED
    services.recognizer.gate.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    left = services.jobs.load(running.id)
    assert left is not None
    assert left.record.attempts == 0
