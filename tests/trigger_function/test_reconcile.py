"""The reconciler: every way in which a job can have gone quiet, and what moves it on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.api_core.exceptions import NotFound

from infra.emulators.deepgram_server import DeepgramServer
from shared.clock import now
from shared.enums import Engine, JobDevice, Outcome
from shared.errors import DropscribeError, FailureKind, StateConflict
from shared.messages import TerminalMessage
from shared.state.job_result import failed
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.record import Job, JobState
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import GPU_JOB, STATE, LoopbackCloud
from tests.support.quiet_jobs import AGO, AUDIO, quiet
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services


def only_message(cloud: LoopbackCloud) -> TerminalMessage:
    (message,) = cloud.terminal_messages()
    return message


def test_nothing_open_is_nothing_to_do(services: Services) -> None:
    assert reconcile_all(services) == {}


def test_a_job_whose_lease_stands_is_left_alone(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), lease_until=now() + AGO)
    assert reconcile_all(services) == {"waiting": 1}
    assert services.jobs.load(job.id) == job
    assert cloud.executions() == []


@pytest.mark.parametrize(("age", "answer"), [(timedelta(0), "waiting"), (AGO, "restarted")])
def test_a_marker_without_record_is_handled_once_its_writer_must_be_gone(
    cloud: LoopbackCloud, services: Services, age: timedelta, answer: str
) -> None:
    upload = cloud.drop(AUDIO)
    services.jobs.markers.write(upload, 1, now() - age)
    assert reconcile_all(services) == {answer: 1}
    assert [item.upload for item in cloud.work_items()] == ([upload] if answer == "restarted" else [])


def test_a_lost_claim_is_taken_up_where_it_was_left(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), state=JobState.CLAIMED, media=None, decision=None)
    assert reconcile_all(services) == {"restarted": 1}
    moved = services.jobs.load(job.id)
    assert moved is not None
    assert moved.record.state is JobState.QUEUED
    assert moved.record.holder.startswith("reconciler/")
    assert [item.job_id for item in cloud.work_items()] == [job.id]
    assert cloud.executions() == [GPU_JOB]


def test_a_quiet_queued_job_is_queued_again_and_counted(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO))
    assert reconcile_all(services) == {"queued again": 1}
    moved = services.jobs.load(job.id)
    assert moved is not None
    assert moved.record.dispatches == 1
    assert moved.record.lease_until > now()
    assert [item.job_id for item in cloud.work_items()] == [job.id]
    assert cloud.executions() == [GPU_JOB]


def test_a_job_far_back_in_a_queue_that_is_worked_on_is_no_failure(cloud: LoopbackCloud, services: Services) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/busy", AGO)
    job = quiet(services, cloud.drop(AUDIO))
    # Nothing says that its item was ever published.
    assert reconcile_all(services) == {"queued again": 1}
    moved = services.jobs.load(job.id)
    assert moved is not None
    assert moved.record.dispatches == 0
    assert cloud.executions() == []


def published(services: Services, job: Job, *, ago: timedelta = timedelta(minutes=30)) -> None:
    """The job's item went on the queue of the GPU job, so long ago."""
    queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=60.0, queued_at=now() - ago)
    services.jobs.markers.mark_queued(job.id, queued)


@pytest.mark.parametrize(
    "changes",
    [{}, {"received_ago": timedelta(hours=25)}, {"dispatches": 3}, {"retry_ago": AGO}],
    ids=["quiet", "for longer than MAX_WAIT_HOURS", "queued in vain before", "after a fault"],
)
def test_while_executions_work_through_its_queue_nothing_is_queued_again_or_failed(
    cloud: LoopbackCloud, services: Services, changes: dict[str, Any]
) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/busy", AGO)
    job = quiet(services, cloud.drop(AUDIO), **changes)
    published(services, job)
    assert reconcile_all(services) == {"waiting": 1}
    # It is looked at again after a while, and the record stays as the item says, for the worker that takes it.
    with cloud.storage_server.counted() as calls:
        assert reconcile_all(services) == {"waiting": 1}
    assert [call for call in calls if call.method != "LIST" and job.id in call.name] == []
    assert services.jobs.load(job.id) == job
    assert (cloud.work_items(), cloud.terminal_messages(), cloud.executions()) == ([], [], [])


def test_once_nobody_works_through_its_queue_it_is_queued_again(cloud: LoopbackCloud, services: Services) -> None:
    published(services, quiet(services, cloud.drop(AUDIO)))
    assert reconcile_all(services) == {"queued again": 1}


def test_an_item_that_should_have_been_reached_long_ago_is_published_again(
    cloud: LoopbackCloud, services: Services
) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/busy", AGO)
    job = quiet(services, cloud.drop(AUDIO))
    published(services, job, ago=timedelta(hours=2))
    assert reconcile_all(services) == {"queued again": 1}
    assert len(cloud.work_items()) == 1
    published(services, quiet(services, cloud.drop(AUDIO, "b.opus")), ago=timedelta(hours=2))
    # With 1,000 h before it, it is no longer late.
    queued = QueuedUpload(device=JobDevice.GPU, audio_seconds=3.6e6, queued_at=now())
    services.queued.add("another", queued)
    assert reconcile_all(services) == {"waiting": 2}


def test_what_was_queued_a_short_while_ago_costs_no_call_of_its_own(cloud: LoopbackCloud, services: Services) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/busy", AGO)
    for number in range(5):
        published(services, quiet(services, cloud.drop(AUDIO, f"{number}.opus")), ago=timedelta(minutes=1))
    with cloud.storage_server.counted() as calls:
        assert reconcile_all(services) == {"waiting": 5}
    own = [call for call in calls if call.method != "LIST" and call.name.startswith(("jobs/", "open/"))]
    assert own == []


def test_a_job_that_nobody_will_come_to_is_looked_after_before_those_whose_turn_will_come(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert services.slots[JobDevice.GPU].hold("execution/busy", AGO)
    for number in range(8):
        published(services, quiet(services, cloud.drop(AUDIO, f"{number}.opus")))
    lost = quiet(services, cloud.drop(AUDIO, "lost.opus"))
    monkeypatch.setattr("trigger_function.reconciler.open_jobs.THREADS", 1)
    with cloud.storage_server.counted() as calls:
        assert reconcile_all(services) == {"queued again": 1, "waiting": 8}
    assert next(call.name for call in calls if call.name.endswith("record.json")) == f"jobs/{lost.id}/record.json"


def test_what_a_tick_has_no_time_for_is_left_to_the_next(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(services, cloud.drop(AUDIO))
    with monkeypatch.context() as no_time:
        no_time.setattr("trigger_function.reconciler.open_jobs.START_SECONDS", 0.0)
        assert reconcile_all(services) == {"left": 1}
    assert reconcile_all(services) == {"queued again": 1}


def test_a_running_job_whose_worker_fell_silent_is_queued_again(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), state=JobState.RUNNING, attempts=1)
    assert reconcile_all(services) == {"queued again": 1}
    assert [item.job_id for item in cloud.work_items()] == [job.id]
    moved = services.jobs.load(job.id)
    assert moved is not None
    assert (moved.record.attempts, moved.record.lost_attempts) == (0, 1)


def test_a_job_that_could_not_be_published_is_queued_again_and_nobody_is_blamed(
    cloud: LoopbackCloud, services: Services
) -> None:
    no_topic = dict.fromkeys(services.work_topics, services.publisher.topic_path("small", "gone"))
    upload = cloud.drop(AUDIO)
    with pytest.raises(NotFound):
        handle(replace(services, work_topics=no_topic), upload)
    assert cloud.executions() == []
    assert reconcile_all(services) == {"queued again": 1}
    moved = services.jobs.load(upload.job_id)
    assert moved is not None
    assert (moved.record.dispatches, moved.record.retry_at) == (0, None)
    assert services.gpu.health().failures == {}
    assert [item.job_id for item in cloud.work_items()] == [upload.job_id]
    assert cloud.executions() == [GPU_JOB]


def test_a_job_given_back_after_a_fault_is_queued_again_and_nobody_is_blamed(
    cloud: LoopbackCloud, services: Services
) -> None:
    job = quiet(services, cloud.drop(AUDIO), faults=2, retry_at=now() - AGO)
    assert reconcile_all(services) == {"queued again": 1}
    moved = services.jobs.load(job.id)
    assert moved is not None
    assert (moved.record.dispatches, moved.record.faults, moved.record.retry_at) == (0, 2, None)
    assert services.gpu.health().failures == {}
    assert [item.job_id for item in cloud.work_items()] == [job.id]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"attempts": 3, "last_error": "Killed."},
            "The worker ended 3 times while it worked on the file. The last time: Killed.",
        ),
        ({"dispatches": 3}, "The file was queued 3 times and no worker took it."),
        ({"received_ago": timedelta(hours=25)}, "Nothing could transcribe the file within 24 h."),
    ],
    ids=["attempts", "dispatches", "age"],
)
def test_what_was_tried_long_or_often_enough_fails_with_a_reason(
    cloud: LoopbackCloud, services: Services, changes: dict[str, Any], reason: str
) -> None:
    quiet(services, cloud.drop(AUDIO), **changes)
    assert reconcile_all(services) == {"failed": 1}
    message = only_message(cloud)
    assert (message.outcome, message.reason, message.failure_kind) == (Outcome.FAILED, reason, FailureKind.TIMEOUT)
    assert reconcile_all(services) == {}
    assert cloud.work_items() == []


@pytest.mark.parametrize("changes", [{"attempts": 2}, {"dispatches": 2}, {"received_ago": timedelta(hours=23)}])
def test_what_was_tried_almost_often_enough_is_tried_again(
    cloud: LoopbackCloud, services: Services, changes: dict[str, Any]
) -> None:
    quiet(services, cloud.drop(AUDIO), **changes)
    assert reconcile_all(services) == {"queued again": 1}
    assert cloud.terminal_messages() == []


def test_the_item_of_a_job_that_is_given_up_claims_it_no_more(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), received_ago=timedelta(hours=25))
    assert reconcile_all(services) == {"failed": 1}
    with pytest.raises(StateConflict):
        services.jobs.save(job)


def test_a_job_that_a_worker_takes_meanwhile_is_not_given_up(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = quiet(services, cloud.drop(AUDIO), received_ago=timedelta(hours=25))
    services.jobs.save(job, state=JobState.RUNNING, lease_until=now() + AGO)
    # The reconciler read the record just before that write.
    monkeypatch.setattr(services.jobs, "load", lambda _: job)
    assert reconcile_all(services) == {"busy": 1}
    assert cloud.terminal_messages() == []


def test_an_outcome_that_was_decided_but_never_published_is_published(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO))
    decided = services.finisher.finish(job.record, failed(DropscribeError("Once.")))
    assert cloud.terminal_messages() == [decided]
    # As after a kill between the decision and the message.
    services.jobs.markers.create(job.record.upload, now())
    assert reconcile_all(services) == {"published": 1}
    assert only_message(cloud).event_id == decided.event_id
    assert reconcile_all(services) == {}


def test_an_outcome_whose_holder_lives_is_left_to_it(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), state=JobState.RUNNING, lease_until=now() + timedelta(minutes=1))
    decided = services.finisher.finish(job.record, failed(DropscribeError("Once.")))
    # As between the decision and the message.
    services.jobs.markers.create(job.record.upload, now())
    assert cloud.terminal_messages() == [decided]
    assert reconcile_all(services) == {"waiting": 1}
    assert cloud.terminal_messages() == []


@pytest.mark.parametrize("state", [JobState.CLAIMED, JobState.QUEUED])
def test_another_process_that_is_faster_is_no_error(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch, state: JobState
) -> None:
    job = quiet(services, cloud.drop(AUDIO), state=state)
    services.jobs.save(job, lease_until=now() + AGO)
    # The reconciler read the record just before that write.
    monkeypatch.setattr(services.jobs, "load", lambda _: job)
    assert reconcile_all(services) == {"busy": 1}
    assert cloud.work_items() == []


def test_one_broken_record_does_not_stop_the_others(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services()
    broken, sound = cloud.drop(AUDIO, "broken.mp3"), cloud.drop(AUDIO, "sound.mp3")
    quiet(services, broken)
    job = quiet(services, sound)
    cloud.storage.bucket(STATE).blob(f"jobs/{broken.job_id}/record.json").upload_from_string(b"{")
    assert reconcile_all(services) == {"unreadable": 1, "queued again": 1}
    assert [item.job_id for item in cloud.work_items()] == [job.id]


def test_a_job_that_no_worker_takes_goes_to_deepgram_and_its_missing_end_is_a_gap(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> None:
    services = make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    # The header states a minute; the recording has 20 s.
    quiet(services, cloud.drop(AUDIO), dispatches=3)
    assert reconcile_all(services) == {"sent to deepgram": 1}
    message = only_message(cloud)
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert message.engines == (Engine.DEEPGRAM,)
    assert message.coverage is not None
    (gap,) = message.coverage.gaps
    assert 18 < gap.start < 21
    assert gap.end == 60.0


def test_a_job_that_no_worker_takes_fails_without_deepgram(cloud: LoopbackCloud, services: Services) -> None:
    quiet(services, cloud.drop(AUDIO), dispatches=3)
    assert reconcile_all(services) == {"failed": 1}
    assert only_message(cloud).outcome is Outcome.FAILED
