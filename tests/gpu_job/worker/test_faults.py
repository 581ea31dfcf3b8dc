"""Faults of services and of the disk: uploads are tried again after a while, and none of it counts as an attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.worker.admission import Admissions
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import MAX_HOLD_SECONDS, WorkSubscription
from shared.enums import Outcome
from shared.state.jobs.given_back import backoff_seconds
from shared.state.jobs.record import JobRecord, JobState
from tests.support.fixed_word_worker import FixedWordServices, fixed_word_services, queued, worker
from tests.support.loopback_cloud import WORK_TOPIC, LoopbackCloud

LONG = 10
"""More faults than MAX_ATTEMPTS allows deaths."""


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    # The queue holds items back for whole seconds: the worker is still there when they come again.
    monkeypatch.setenv("WORK_IDLE_SECONDS", "5")
    monkeypatch.setenv("FAULT_BACKOFF_SECONDS", "0.001")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")
    with fixed_word_services() as made:
        yield made


def run(cloud: LoopbackCloud, services: JobServices) -> bool:
    return worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()


def record(services: JobServices, job_id: str) -> JobRecord:
    job = services.jobs.load(job_id)
    assert job is not None
    return job.record


@given(st.integers(1, 10_000), st.floats(0.001, 600), st.floats(0, 1))
def test_waits_grow_with_faults_and_are_never_longer_than_the_queue_holds(
    faults: int, first_seconds: float, chance: float
) -> None:
    longest = MAX_HOLD_SECONDS
    waits = [backoff_seconds(count, first_seconds, longest, lambda: chance) for count in (faults, faults + 1)]
    assert 0 < waits[0] <= waits[1] <= longest
    assert waits[1] <= 2 * waits[0]
    assert backoff_seconds(faults, first_seconds, longest, lambda: 1) == pytest.approx(
        2 * backoff_seconds(faults, first_seconds, longest, lambda: 0)
    )


def test_a_permission_that_is_missing_for_a_while_fails_no_upload(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    jobs = [queued(cloud, services, f"uploads/{number}.opus") for number in range(3)]
    cloud.storage_server.fail_next(LONG, 403, "GET", "uploads/", message="job@p does not have access.")
    assert run(cloud, services)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 3
    assert [record(services, job.id).attempts for job in jobs] == [1] * 3


def test_a_results_bucket_that_refuses_for_a_while_fails_no_upload(
    cloud: LoopbackCloud, services: FixedWordServices
) -> None:
    jobs = [queued(cloud, services, f"results/{number}.opus") for number in range(2)]
    cloud.storage_server.fail_next(LONG, 403, "POST", "results/", message="No access to the results bucket.")
    assert run(cloud, services)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 2
    assert [record(services, job.id).attempts for job in jobs] == [1] * 2


def test_a_disk_that_others_filled_costs_no_attempt(cloud: LoopbackCloud, services: FixedWordServices) -> None:
    admissions = Admissions(services.settings)
    room = admissions.room()
    admissions.close()
    assert room.disk_bytes is not None
    size = (room.disk_bytes + room.free_disk_bytes) // 2
    if size <= room.free_disk_bytes:
        pytest.skip("nothing is on this machine's disk")
    job = queued(cloud, services, "large.opus")
    media = job.record.media
    assert media is not None
    services.jobs.save(job, media=media.model_copy(update={"size_bytes": size}))
    patient = replace(
        services, settings=services.settings.model_copy(update={"fault_backoff_seconds": 600.0, "work_idle_seconds": 0})
    )
    assert run(cloud, patient)
    left = record(services, job.id)
    assert (left.state, left.attempts, left.faults) == (JobState.QUEUED, 0, 1)
    assert left.retry_at == left.lease_until
    assert "No space left on device" in (left.last_error or "")
    assert cloud.terminal_messages() == []


def test_a_mistake_of_ours_counts(
    cloud: LoopbackCloud, services: FixedWordServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr("gpu_job.worker.jobs.job_runner.feed", broken)
    job = queued(cloud, services, "a.opus")
    assert run(cloud, services)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert message.reason == (
        "The worker ended 3 times while it worked on the file. "
        "The last time: Reading the file failed (ValueError: a mistake)."
    )
    assert record(services, job.id).faults == 0
