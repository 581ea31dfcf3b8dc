"""Gathering through the function: lone uploads wait on the queue, and one execution starts for all of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from infra.recordings import recording
from shared.clock import now
from shared.costs.speeds import SpeedStore
from shared.enums import JobDevice
from shared.media import Upload
from shared.options.metadata_keys import DEADLINE_METADATA
from shared.state.jobs.record import JobRecord, JobState
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import CPU_JOB, CPU_WORK_TOPIC, LoopbackCloud
from trigger_function.gathering import Gathered, Gathering
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
CPU_ALONE = {"CPU_JOB": CPU_JOB, "GPU_JOB": "", "GATHER_SECONDS": "600", "GATHER_AUDIO_MINUTES": "0.3"}
"""Two of the recordings, of 8 s each, are not enough to start an execution, three are."""


@pytest.fixture
def gathering(make_services: MakeServices) -> Services:
    return make_services(**CPU_ALONE)


def dropped(cloud: LoopbackCloud, services: Services, name: str, **metadata: str) -> Upload:
    upload = cloud.drop(AUDIO, name, metadata)
    handle(services, upload)
    return upload


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def changed(services: Services, upload: Upload, **changes: Any) -> None:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    services.jobs.save(job, **changes)


def test_uploads_wait_until_there_is_enough_audio(cloud: LoopbackCloud, gathering: Services) -> None:
    first = dropped(cloud, gathering, "a.wav")
    second = dropped(cloud, gathering, "b.wav")
    assert cloud.executions() == []
    # On the queue already: whichever execution runs takes them.
    assert [item.job_id for item in cloud.work_items(CPU_WORK_TOPIC)] == [first.job_id, second.job_id]
    record = record_of(gathering, first)
    assert record.state is JobState.QUEUED
    assert record.gather_until == record.lease_until
    assert timedelta(seconds=590) < record.lease_until - now() <= timedelta(seconds=600)
    third = dropped(cloud, gathering, "c.wav")
    assert cloud.executions() == [CPU_JOB]
    assert record_of(gathering, third).gather_until is None
    # The next one joins that execution.
    assert record_of(gathering, dropped(cloud, gathering, "d.wav")).gather_until is None
    assert cloud.executions() == [CPU_JOB]


def test_the_start_is_quoted_as_shared(cloud: LoopbackCloud, gathering: Services) -> None:
    decision = record_of(gathering, dropped(cloud, gathering, "a.wav")).decision
    assert decision is not None
    assert decision.quote is not None
    seconds = 8.064875
    startup, idle = gathering.settings.cpu_startup_seconds, gathering.settings.work_idle_seconds
    # 0.3 minutes are expected to come.
    busy = seconds / gathering.settings.cpu_x_real_time
    expected = (seconds / (seconds + 18) * (startup + idle) + busy) * (4 * 0.000018 + 8 * 0.000002)
    assert decision.quote.bill.usd == pytest.approx(expected)
    assert decision.quote.gather_seconds == 600
    assert decision.quote.completion_seconds == pytest.approx(600 + startup + busy)


def test_nobody_coming_the_reconciler_starts_an_execution(cloud: LoopbackCloud, gathering: Services) -> None:
    upload = dropped(cloud, gathering, "a.wav")
    assert reconcile_all(gathering) == {"waiting": 1}
    assert cloud.executions() == []
    over = now() - timedelta(seconds=1)
    changed(gathering, upload, gather_until=over, lease_until=over)
    assert reconcile_all(gathering) == {"gathered": 1}
    assert cloud.executions() == [CPU_JOB]
    record = record_of(gathering, upload)
    # It was queued for the first time, and in vain for none.
    assert (record.gather_until, record.dispatches, record.attempts) == (None, 0, 0)
    assert record.lease_until > now()
    assert reconcile_all(gathering) == {"waiting": 1}


def test_how_much_company_comes_is_learned(cloud: LoopbackCloud, gathering: Services) -> None:

    def company() -> float:
        # A store of its own: one that has read remembers it for a while.
        store = SpeedStore(gathering.state)
        store.speeds(gathering.settings.initial_speeds(None))
        return Gathering(gathering.state, JobDevice.CPU, store).queue(18.0).company_seconds

    expected = [company()]
    for number in range(8):
        dropped(cloud, gathering, f"{number}.wav")
        gathering.gathering[JobDevice.CPU].started()
        expected.append(company())
    # Nobody came, eight times.
    assert (expected[0], expected[-1]) == (18.0, 1.0)
    assert expected == sorted(expected, reverse=True)


def test_an_upload_joins_the_oldest_one_that_may_wait_no_longer(cloud: LoopbackCloud, gathering: Services) -> None:
    dropped(cloud, gathering, "a.wav")
    # The next one may wait for a quarter of a minute, and takes the other along then.
    second = dropped(cloud, gathering, "b.wav", **{DEADLINE_METADATA: "5.5"})
    until = record_of(gathering, second).gather_until
    assert until is not None
    assert until - now() < timedelta(seconds=30)
    assert cloud.executions() == []
    over = now() - timedelta(seconds=1)
    changed(gathering, second, gather_until=over, lease_until=over)
    assert reconcile_all(gathering) == {"gathered": 1, "waiting": 1}
    assert cloud.executions() == [CPU_JOB]


def test_a_deadline_that_leaves_no_time_starts_an_execution_at_once(cloud: LoopbackCloud, gathering: Services) -> None:
    dropped(cloud, gathering, "a.wav")
    urgent = dropped(cloud, gathering, "b.wav", **{DEADLINE_METADATA: "5"})
    assert record_of(gathering, urgent).gather_until is None
    assert cloud.executions() == [CPU_JOB]


def test_by_default_nothing_waits(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(CPU_JOB=CPU_JOB, GPU_JOB="")
    assert record_of(services, dropped(cloud, services, "a.wav")).gather_until is None
    assert cloud.executions() == [CPU_JOB]
    assert not any(name.startswith("gathering/") for name in cloud.names("state"))


@pytest.mark.parametrize("before", [True, False], ids=["before the write", "behind the write"])
def test_where_nobody_knows_what_has_gathered_an_execution_starts(
    cloud: LoopbackCloud, gathering: Services, before: bool
) -> None:
    cloud.storage_server.fail_next(99, method="POST", name_prefix="gathering/", status=403, before=before)
    upload = dropped(cloud, gathering, "a.wav")
    assert cloud.executions() == [CPU_JOB]
    assert record_of(gathering, upload).gather_until is None


def test_a_function_that_died_after_the_record_loses_nothing(cloud: LoopbackCloud, gathering: Services) -> None:
    """The record says that it waits, and neither item nor what has gathered was written."""
    upload = dropped(cloud, gathering, "a.wav")
    cloud.work_items(CPU_WORK_TOPIC)
    gathering.state.blob("gathering/cpu.json").delete()
    over = now() - timedelta(seconds=1)
    changed(gathering, upload, gather_until=over, lease_until=over)
    assert reconcile_all(gathering) == {"gathered": 1}
    assert [item.job_id for item in cloud.work_items(CPU_WORK_TOPIC)] == [upload.job_id]
    assert cloud.executions() == [CPU_JOB]


def test_a_start_that_is_refused_leaves_the_others_waiting(cloud: LoopbackCloud, gathering: Services) -> None:
    first, second = dropped(cloud, gathering, "a.wav"), dropped(cloud, gathering, "b.wav")
    cloud.runner.refuse_next(1)
    third = dropped(cloud, gathering, "c.wav")
    assert cloud.executions() == []
    records = [record_of(gathering, one) for one in (first, second, third)]
    assert [record.gather_until is None for record in records] == [False, False, True]
    assert all(record.state is JobState.QUEUED for record in records)
    # The next upload tries again, for all of them.
    dropped(cloud, gathering, "d.wav")
    assert cloud.executions() == [CPU_JOB]
    stored = gathering.state.blob("gathering/cpu.json").download_as_bytes()
    assert Gathered.model_validate_json(stored) == Gathered()


def test_an_execution_that_runs_takes_what_gathered(cloud: LoopbackCloud, gathering: Services) -> None:
    upload = dropped(cloud, gathering, "a.wav")
    busy = gathering.slots[JobDevice.CPU].hold("execution/busy", timedelta(minutes=5))
    assert busy
    changed(gathering, upload, state=JobState.RUNNING, holder="cpu-x/0", attempts=1, started_at=now())
    # Its worker gave it back: its item is on the queue, to which the execution comes.
    over = now() - timedelta(seconds=1)
    changed(gathering, upload, state=JobState.QUEUED, lease_until=over)
    assert reconcile_all(gathering) == {"waiting": 1}
    # Without one no more company is waited for, and the attempt counts.
    gathering.slots[JobDevice.CPU].release(busy)
    changed(gathering, upload, lease_until=over)
    assert reconcile_all(gathering) == {"queued again": 1}
    assert record_of(gathering, upload).gather_until is None
