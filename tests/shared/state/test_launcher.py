"""The launcher: what the plan says is started, by whoever takes the slot first; a refused launch harms nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from shared.clock import now
from shared.costs.launch_plan import LaunchRules
from shared.costs.speeds import DeviceSpeed
from shared.enums import JobDevice
from shared.errors import FailureKind
from shared.state.backlog import CACHE_SECONDS, QueuedUploads
from shared.state.cloud_run import JobRunner
from shared.state.execution_slots import ExecutionSlots, TakenWork
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.store import JobStore
from shared.state.launcher import Launcher
from tests.support.loopback_cloud import GPU_JOB, STATE, LoopbackCloud
from tests.support.recorded_metrics import RecordedMetrics, labels

HOUR = 3600.0
TERM = timedelta(minutes=5)
L4 = DeviceSpeed(startup_seconds=30.0, x_real_time=123.0)
COUNT = 5


def queued_upload(audio_seconds: float, device: JobDevice = JobDevice.GPU, due: datetime | None = None) -> QueuedUpload:
    return QueuedUpload(device=device, audio_seconds=audio_seconds, due=due, queued_at=now())


@pytest.fixture
def jobs(cloud: LoopbackCloud) -> JobStore:
    return JobStore(cloud.storage.bucket(STATE))


@pytest.fixture
def slots(cloud: LoopbackCloud) -> ExecutionSlots:
    return ExecutionSlots(cloud.storage.bucket(STATE), JobDevice.GPU, COUNT)


@pytest.fixture
def make(cloud: LoopbackCloud, jobs: JobStore, slots: ExecutionSlots) -> Callable[[], Launcher]:
    """Launchers as different processes have them."""

    def make() -> Launcher:
        return Launcher(
            runner=JobRunner(cloud.runner.url),
            job=GPU_JOB,
            device=JobDevice.GPU,
            slots=slots,
            queued=QueuedUploads(jobs),
            rules=LaunchRules(COUNT, 600.0),
            speed=lambda: L4,
            term=TERM,
        )

    return make


@pytest.fixture
def queue(cloud: LoopbackCloud, jobs: JobStore) -> Callable[..., list[str]]:
    """`queue(20, HOUR)`: so many uploads of that length wait; their job ids."""

    def queue(count: int, audio_seconds: float, device: JobDevice = JobDevice.GPU) -> list[str]:
        ids = []
        for number in range(count):
            upload = cloud.drop(b"sound", f"{number}.wav")
            assert jobs.claim(upload, "function/1", TERM)
            jobs.markers.mark_queued(upload.job_id, queued_upload(audio_seconds, device))
            ids.append(upload.job_id)
        return ids

    return queue


Make = Callable[[], Launcher]
Queue = Callable[..., list[str]]


def test_a_lone_file_starts_one(cloud: LoopbackCloud, make: Make, queue: Queue) -> None:
    queue(1, 24 * HOUR)
    result = make().launch()
    assert (len(result.started), result.running, result.failure) == (1, 0, None)
    assert cloud.executions() == [GPU_JOB]
    assert make().launch().running == 1
    assert len(cloud.executions()) == 1


def test_an_upload_that_is_not_listed_yet_starts_one(cloud: LoopbackCloud, make: Make) -> None:
    assert make().launch().is_running
    assert cloud.executions() == [GPU_JOB]


def test_a_worker_launches_nothing_where_nothing_waits(cloud: LoopbackCloud, make: Make) -> None:
    assert not make().launch_more().is_running
    assert cloud.executions() == []


def test_a_hundred_hours_start_as_many_as_there_are_slots(cloud: LoopbackCloud, make: Make, queue: Queue) -> None:
    queue(10, 10 * HOUR)
    assert len(make().launch().started) == COUNT
    assert make().launch().running == COUNT
    assert cloud.executions() == [GPU_JOB] * COUNT


def test_many_launchers_at_once_start_no_more_than_one_of_them_would(
    cloud: LoopbackCloud, make: Make, queue: Queue
) -> None:
    queue(10, 4 * HOUR)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda launcher: launcher.launch(), [make() for _ in range(8)]))
    assert all(result.is_running for result in results)
    assert len(cloud.executions()) == 3


def test_what_workers_have_taken_does_not_wait(
    cloud: LoopbackCloud, make: Make, queue: Queue, slots: ExecutionSlots
) -> None:
    ids = queue(4, 20 * HOUR)
    worker = slots.hold("execution/a", TERM)
    assert worker
    slots.renew(worker, TERM, TakenWork(tuple(ids), 2 * HOUR))
    assert make().launch_more().started == ()
    assert cloud.executions() == []


def test_each_queue_has_its_own_backlog(cloud: LoopbackCloud, make: Make, queue: Queue) -> None:
    queue(10, 10 * HOUR, JobDevice.CPU)
    assert len(make().launch().started) == 1


def test_what_is_off_its_queue_or_closed_does_not_wait(
    cloud: LoopbackCloud, make: Make, queue: Queue, jobs: JobStore
) -> None:
    first, second, *_ = queue(2, 10 * HOUR)
    jobs.markers.mark_queued(first, None)
    jobs.markers.close(second)
    jobs.markers.mark_queued(second, queued_upload(HOUR))
    assert [marker.queued for marker in jobs.markers.all()] == [None]
    assert make().launch_more().started == ()


def test_a_listing_serves_for_seconds_and_own_uploads_count_at_once(jobs: JobStore, queue: Queue) -> None:
    at = 0.0
    queued = QueuedUploads(jobs, clock=lambda: at)
    assert queued.waiting(JobDevice.GPU, ()).items == 0
    queue(2, HOUR)
    assert queued.waiting(JobDevice.GPU, ()).items == 0
    queued.add("mine", queued_upload(HOUR, due=now() + timedelta(hours=1)))
    backlog = queued.waiting(JobDevice.GPU, ())
    assert (backlog.items, backlog.audio_seconds) == (1, HOUR)
    assert backlog.due_seconds == pytest.approx(HOUR, abs=60)
    queued.remove("mine")
    assert queued.waiting(JobDevice.GPU, ()).items == 0
    at = 2 * CACHE_SECONDS
    assert queued.waiting(JobDevice.GPU, ()).items == 2


def test_a_deadline_that_has_passed_hurries_nobody(jobs: JobStore) -> None:
    queued = QueuedUploads(jobs)
    queued.waiting(JobDevice.GPU, ())
    queued.add("late", queued_upload(HOUR, due=now() - timedelta(hours=1)))
    assert queued.waiting(JobDevice.GPU, ()).due_seconds is None


def test_without_quota_those_that_run_go_on_and_nobody_asks_again_for_a_while(
    cloud: LoopbackCloud,
    make: Make,
    queue: Queue,
    recorded_metrics: RecordedMetrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue(10, 10 * HOUR)
    cloud.runner.answer_next(2)
    cloud.runner.refuse_next(1, 429)
    with caplog.at_level(logging.WARNING):
        result = make().launch()
    assert (len(result.started), result.is_running) == (2, True)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.QUOTA
    assert "no quota for another execution" in caplog.messages
    assert make().launch().started == ()
    assert len(cloud.executions()) == 2
    assert recorded_metrics.collect() == {("dropscribe.launches", labels(job_name="gpu")): 2}


def test_quota_is_asked_for_again_once_the_pause_is_over(
    cloud: LoopbackCloud, make: Make, queue: Queue, slots: ExecutionSlots
) -> None:
    queue(10, 10 * HOUR)
    slots.hold("execution/a", TERM)
    taken = slots.take(1, "launcher/1", TERM, slots.view())
    assert taken
    slots.refuse(taken, timedelta(seconds=-1))
    assert len(make().launch().started) == COUNT - 1


@pytest.mark.parametrize("status", [429, 403, 404, 503])
def test_a_first_launch_that_fails_leaves_every_slot_free(
    cloud: LoopbackCloud, make: Make, slots: ExecutionSlots, status: int, recorded_metrics: RecordedMetrics
) -> None:
    cloud.runner.refuse_next(1, status)
    result = make().launch()
    assert result.failure is not None
    assert not result.is_running
    assert slots.view().free(COUNT) == list(range(COUNT))
    assert make().launch().is_running


def test_the_queue_of_the_next_upload_is_shared_by_all_executions(
    make: Make, queue: Queue, slots: ExecutionSlots
) -> None:
    assert not make().queue().running
    queue(10, 10 * HOUR)
    slots.hold("execution/a", TERM)
    ahead = make().queue()
    assert ahead.running
    # Four more are about to be started.
    assert ahead.waiting_seconds == 100 * HOUR / COUNT
