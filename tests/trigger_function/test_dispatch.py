"""Dispatch: who gets a routed upload when engines and launches fail, and that 20 uploads start one execution."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import stamina

from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.clock import now
from shared.costs.bill import LineItemKind
from shared.costs.shard_plan import shard_work_id
from shared.enums import Engine, JobDevice, Method, Outcome
from shared.errors import DropscribeError, FailureKind
from shared.media import Upload
from shared.options.metadata_keys import LANGUAGE_METADATA, MAX_COST_METADATA
from shared.state.backlog import QueuedUploads
from shared.state.jobs.record import JobRecord, JobState
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import CPU_JOB, CPU_WORK_TOPIC, GPU_JOB, RESULTS, LoopbackCloud
from trigger_function.dispatch import fall_back_to_deepgram, routed
from trigger_function.handle_upload import handle
from trigger_function.launch import launch
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
NOT_SMALL = {"PARAKEET_MAX_MB": "0.001"}
"""With this setting the recording is too large to be cheap on a CPU."""


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def deepgram(shared_deepgram_server: DeepgramServer, deepgram_key: str) -> dict[str, str]:
    """Settings of a deployment with a Deepgram key, whose decision table gives short uploads to the job."""
    return {
        "DEEPGRAM_API_KEY": deepgram_key,
        "DEEPGRAM_BASE_URL": shared_deepgram_server.url,
        "COST_OPTIMIZATION": "false",
    }


def handled(cloud: LoopbackCloud, services: Services) -> Upload:
    upload = cloud.drop(AUDIO)
    handle(services, upload)
    return upload


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def test_a_small_upload_is_queued_and_one_execution_started(cloud: LoopbackCloud, services: Services) -> None:
    upload = handled(cloud, services)
    (item,) = cloud.work_items()
    assert (item.job_id, item.upload, item.decision.method) == (upload.job_id, upload, Method.PARAKEET)
    assert item.media.container == "wav"
    record = record_of(services, upload)
    assert (record.state, record.media, record.decision) == (JobState.QUEUED, item.media, item.decision)
    assert record.lease_until > now()
    assert cloud.executions() == [GPU_JOB]
    assert cloud.terminal_messages() == []


def test_many_uploads_start_one_execution(cloud: LoopbackCloud, services: Services) -> None:
    for number in range(3):
        handle(services, cloud.drop(AUDIO, f"{number}.wav"))
    assert len(cloud.work_items()) == 3
    assert cloud.executions() == [GPU_JOB]


SHARDS = {"SHARD_HOURS": "0.0007", "SHARD_HOURS_BUSY": "0.0014"}
"""2.5 and 5 seconds: the recording has more than 5, and at most 7.5."""


def test_a_long_upload_is_an_item_for_each_shard(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**SHARDS)
    upload = handled(cloud, services)
    record = record_of(services, upload)
    assert [shard.number for shard in record.shards] == [item.shard for item in cloud.work_items()] == [0, 1, 2]
    (marker,) = services.jobs.markers.all()
    assert marker.queued is not None
    assert marker.queued.shards == 3
    assert cloud.executions() == [GPU_JOB]
    # Once some are done or taken, the others wait.
    services.jobs.markers.mark_shard_done(upload.job_id, 0, 1)
    waiting = QueuedUploads(services.jobs).waiting(JobDevice.GPU, {shard_work_id(upload.job_id, 2, 1)})
    assert (waiting.items, waiting.audio_seconds) == (1, pytest.approx(marker.queued.audio_seconds / 3))
    for number in (1, 2):
        services.jobs.markers.mark_shard_done(upload.job_id, number, 1)
    waiting = QueuedUploads(services.jobs).waiting(JobDevice.GPU, ())
    assert (waiting.items, waiting.audio_seconds) == (1, 0.0)


def test_who_speaks_is_work_that_waits_too(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**SHARDS)
    upload = cloud.drop(AUDIO, "call.wav", metadata={"transcribe-speakers": "on"})
    handle(services, upload)
    (marker,) = services.jobs.markers.all()
    assert marker.queued is not None
    assert marker.queued.speakers_seconds == marker.queued.audio_seconds > 0
    services.jobs.markers.mark_shard_done(upload.job_id, 0, 1)
    waiting = QueuedUploads(services.jobs).waiting(JobDevice.GPU, ())
    assert (waiting.items, waiting.speakers_seconds) == (2, pytest.approx(marker.queued.audio_seconds * 2 / 3))


@pytest.mark.parametrize(("speakers", "are_heard_in_shards"), [("2-4", False), ("on", True), ("2-5", True)])
def test_of_shards_no_execution_is_started_for_whom_one_hears_in_the_whole(
    cloud: LoopbackCloud, make_services: MakeServices, speakers: str, are_heard_in_shards: bool
) -> None:
    services = make_services(**SHARDS, SPEAKER_MODEL="sortformer")
    handle(services, cloud.drop(AUDIO, "call.wav", metadata={"transcribe-speakers": speakers}))
    (marker,) = services.jobs.markers.all()
    assert marker.queued is not None
    assert marker.queued.shards > 1
    assert marker.queued.speakers_seconds == (marker.queued.audio_seconds if are_heard_in_shards else 0.0)


def test_where_no_second_execution_could_start_shards_are_longer(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**SHARDS)
    slots = services.slots[JobDevice.GPU]
    for number in range(slots.count - 1):
        assert slots.hold(f"execution/{number}", timedelta(minutes=5))
    assert len(record_of(services, handled(cloud, services)).shards) == 2


@pytest.mark.parametrize("settings", [{"MAX_PARALLEL_TASKS": "1"}, {"SHARD_HOURS": "0"}], ids=["one slot", "off"])
def test_an_upload_that_gains_nothing_is_one_item(
    cloud: LoopbackCloud, make_services: MakeServices, settings: dict[str, str]
) -> None:
    services = make_services(**{**SHARDS, **settings})
    assert record_of(services, handled(cloud, services)).shards == ()
    assert [item.shard for item in cloud.work_items()] == [None]


def test_deepgram_fetches_the_upload_through_a_signed_url(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram")
    upload = handled(cloud, services)
    (message,) = cloud.terminal_messages()
    assert (message.job_id, message.outcome) == (upload.job_id, Outcome.COMPLETED)
    assert message.engines == (Engine.DEEPGRAM,)
    assert message.word_count > 0
    assert [line.resource for line in message.bill.items] == ["deepgram nova-3", "cloud storage egress"]
    assert message.saving is not None
    assert message.saving.usd == pytest.approx(0)
    assert f"{upload.name}/{upload.generation}/transcript.json" in cloud.names(RESULTS)
    assert cloud.work_items() == []
    assert cloud.executions() == []
    assert not services.jobs.markers.is_open(upload.job_id)


def test_parakeet_takes_over_from_a_failing_deepgram(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram")
    shared_deepgram_server.fail_next(1, 402)
    handled(cloud, services)
    (item,) = cloud.work_items()
    assert (item.decision.method, item.decision.rule) == (Method.PARAKEET, "requested-fallback")
    assert item.decision.reason == "deepgram was asked for. Deepgram answered 402. Parakeet takes over."
    assert cloud.executions() == [GPU_JOB]
    assert cloud.terminal_messages() == []


def test_parakeet_does_not_take_over_a_file_that_no_instance_holds(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", JOB_DISK_GIB="0.00001")
    shared_deepgram_server.fail_next(1, 402)
    handled(cloud, services)
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert message.reason is not None
    assert message.reason.startswith("Deepgram answered 402. Parakeet cannot take over: the file has ")
    assert "an instance of the GPU job has room for" in message.reason
    assert cloud.work_items() == []
    assert cloud.executions() == []


@pytest.mark.parametrize(("status", "is_billed"), [(500, True), (402, False)])
def test_a_call_that_deepgram_may_bill_is_on_the_bill_though_it_failed(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    deepgram: dict[str, str],
    shared_deepgram_server: DeepgramServer,
    status: int,
    is_billed: bool,
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram")
    shared_deepgram_server.fail_next(1, status)
    record = record_of(services, handled(cloud, services))
    assert record.state is JobState.QUEUED
    kinds = [line.kind for line in record.spent.items]
    assert kinds == ([LineItemKind.DEEPGRAM, LineItemKind.EGRESS] if is_billed else [])


def test_parakeet_takes_over_where_no_address_can_be_signed(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], tmp_path: Path
) -> None:
    missing = str(tmp_path / "no-such-key.json")
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", GOOGLE_APPLICATION_CREDENTIALS=missing)
    handled(cloud, services)
    (item,) = cloud.work_items()
    assert item.decision.rule == "requested-fallback"
    assert "could not be signed" in item.decision.reason


def test_without_fallback_a_failing_deepgram_is_the_end(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**deepgram, TRANSCRIPTION_METHOD="deepgram", ENABLE_FALLBACK="false")
    shared_deepgram_server.fail_next(1, 402)
    handled(cloud, services)
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.failure_kind) == (Outcome.FAILED, FailureKind.QUOTA)
    assert message.bill.usd == 0
    assert cloud.work_items() == []


@pytest.mark.parametrize("status", [429, 403, 404])
def test_a_refused_launch_leaves_the_item_queued_where_nobody_else_can_take_it(
    cloud: LoopbackCloud, services: Services, status: int
) -> None:
    cloud.runner.refuse_next(1, status)
    upload = handled(cloud, services)
    assert record_of(services, upload).state is JobState.QUEUED
    assert len(cloud.work_items()) == 1
    assert cloud.terminal_messages() == []
    # The slot was given back, so the next upload tries again at once.
    assert not services.slots[JobDevice.GPU].view().is_running
    assert launch(services, JobDevice.GPU, "a job")
    assert cloud.executions() == [GPU_JOB]


def test_a_cloud_run_that_cannot_be_reached_leaves_the_item_queued(cloud: LoopbackCloud, services: Services) -> None:
    cloud.runner.stop()
    upload = handled(cloud, services)
    assert record_of(services, upload).state is JobState.QUEUED
    assert not services.slots[JobDevice.GPU].view().is_running


def test_a_job_that_does_not_exist_leaves_the_item_queued(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(GPU_JOB=GPU_JOB.replace("gpu", "deleted"))
    upload = handled(cloud, services)
    assert record_of(services, upload).state is JobState.QUEUED
    assert cloud.executions() == []


def test_a_small_upload_prefers_the_cpu_job_to_deepgram(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str]
) -> None:
    services = make_services(**deepgram, CPU_JOB=CPU_JOB)
    cloud.runner.refuse_next(1)
    upload = handled(cloud, services)
    assert cloud.executions() == [CPU_JOB]
    assert record_of(services, upload).state is JobState.QUEUED
    assert cloud.terminal_messages() == []


@pytest.mark.parametrize("more", [{}, {"CPU_JOB": CPU_JOB, **NOT_SMALL}], ids=["small, no CPU job", "not small"])
def test_deepgram_takes_what_no_job_is_started_for(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], more: dict[str, str]
) -> None:
    services = make_services(**deepgram, **more)
    cloud.runner.refuse_next(1)
    handled(cloud, services)
    (message,) = cloud.terminal_messages()
    assert message.engines == (Engine.DEEPGRAM,)
    assert message.decision is not None
    assert message.decision.method is Method.DEEPGRAM
    assert message.decision.reason.endswith("No job could be started: Deepgram.")
    assert cloud.executions() == []


def test_what_is_not_small_goes_to_the_cpu_job_where_deepgram_fails_too(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    services = make_services(**deepgram, CPU_JOB=CPU_JOB, **NOT_SMALL)
    cloud.runner.refuse_next(1)
    shared_deepgram_server.fail_next(1, 500)
    upload = handled(cloud, services)
    record = record_of(services, upload)
    assert record.state is JobState.QUEUED
    assert record.decision is not None
    assert (record.decision.method, record.decision.rule) == (Method.PARAKEET, "short")
    assert cloud.executions() == [CPU_JOB]
    assert cloud.terminal_messages() == []


def test_what_comes_back_from_deepgram_has_waited_since_its_item_was_published(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    """No item is published once more: where it was lost, the reconciler must find out in time."""
    services = make_services(**deepgram)
    upload = handled(cloud, services)
    job, ago = services.jobs.load(upload.job_id), now() - timedelta(hours=2)
    assert job is not None
    assert job.record.media is not None
    job = services.jobs.save(job, queued_at=ago)
    shared_deepgram_server.fail_next(1, 402)
    assert not fall_back_to_deepgram(services, job, job.record.media)
    (marker,) = services.jobs.markers.all()
    assert marker.queued is not None
    assert marker.queued.queued_at == ago
    assert len(cloud.work_items()) == 1


def test_without_fallback_a_queued_upload_never_goes_to_deepgram(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    before = len(shared_deepgram_server.requests)
    services = make_services(**deepgram, ENABLE_FALLBACK="false")
    cloud.runner.refuse_next(1)
    upload = handled(cloud, services)
    assert record_of(services, upload).state is JobState.QUEUED
    assert len(shared_deepgram_server.requests) == before


def test_a_deployment_without_gpu_starts_its_cpu_job(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(CPU_JOB=CPU_JOB, ENABLE_GPU_TRANSCRIPTION="false")
    handled(cloud, services)
    assert cloud.executions() == [CPU_JOB]


def test_deepgram_does_not_take_over_a_language_that_it_does_not_speak(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], shared_deepgram_server: DeepgramServer
) -> None:
    before = len(shared_deepgram_server.requests)
    services = make_services(**{**deepgram, **NOT_SMALL})
    cloud.runner.refuse_next(1)
    upload = cloud.drop(AUDIO, metadata={LANGUAGE_METADATA: "mt"})
    handle(services, upload)
    assert record_of(services, upload).state is JobState.QUEUED
    assert len(shared_deepgram_server.requests) == before


def test_the_gpu_job_does_not_take_over_a_language_whose_model_runs_on_cpus(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    cloud.runner.refuse_next(1)
    upload = cloud.drop(AUDIO, metadata={LANGUAGE_METADATA: "ja"})
    handle(services, upload)
    assert cloud.executions() == []
    decision = record_of(services, upload).decision
    assert decision is not None
    assert decision.device is JobDevice.CPU


def test_the_backlog_counts_what_a_slow_model_takes(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    own = services.settings.initial_speeds(None).of("cpu").x_real_time
    for _ in range(9):
        assert services.speeds.observe({"x_real_time/cpu/whisper-base": own / 100})
    for name, metadata in (("a.wav", {}), ("b.wav", {LANGUAGE_METADATA: "ja"})):
        handle(services, cloud.drop(AUDIO, name, metadata=metadata))
    counted = [one.queued.audio_seconds for one in services.jobs.markers.all() if one.queued]
    assert max(counted) == pytest.approx(100 * min(counted))
    assert min(counted) == pytest.approx(recording("memo.wav").duration, rel=0.01)


@pytest.mark.parametrize("policy", [{"COST_OPTIMIZATION": "true"}, {"TRANSCRIPTION_METHOD": "parakeet"}])
def test_what_was_quoted_for_the_cpu_job_goes_there_and_not_to_deepgram(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    deepgram: dict[str, str],
    shared_deepgram_server: DeepgramServer,
    policy: dict[str, str],
) -> None:
    before = len(shared_deepgram_server.requests)
    # Starting is made cheap: the cost policy takes the CPU job, too, for these few seconds.
    cheap = {"CPU_STARTUP_SECONDS": "0.01", "WORK_IDLE_SECONDS": "0", "CPU_X_REAL_TIME": "1000"}
    services = make_services(
        **{**deepgram, **NOT_SMALL, **cheap, **policy}, CPU_JOB=CPU_JOB, ENABLE_GPU_TRANSCRIPTION="false"
    )
    handled(cloud, services)
    assert cloud.executions() == [CPU_JOB]
    assert len(shared_deepgram_server.requests) == before


def test_each_job_has_an_execution_and_a_queue_of_its_own(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    short, long = cloud.drop(AUDIO, "short.wav"), cloud.drop(AUDIO, "long.wav")
    handle(services, short)
    assert cloud.executions() == [CPU_JOB]
    assert [item.job_id for item in cloud.work_items(CPU_WORK_TOPIC)] == [short.job_id]
    # The long one is not left to the slow job that runs.
    services = make_services(CPU_JOB=CPU_JOB, CPU_X_REAL_TIME="0.01")
    handle(services, long)
    assert cloud.executions() == [CPU_JOB, GPU_JOB]
    assert [item.job_id for item in cloud.work_items()] == [long.job_id]
    assert cloud.work_items(CPU_WORK_TOPIC) == []
    decisions = [record_of(services, one).decision for one in (short, long)]
    assert [one.device for one in decisions if one] == [JobDevice.CPU, JobDevice.GPU]


def test_an_upload_whose_job_does_not_start_moves_to_the_other_jobs_queue(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    cloud.runner.refuse_next(1)
    upload = handled(cloud, services)
    assert cloud.executions() == [GPU_JOB]
    decision = record_of(services, upload).decision
    assert decision is not None
    assert (decision.method, decision.device) == (Method.PARAKEET, JobDevice.GPU)
    assert decision.reason.endswith("No execution of the CPU job could be started: GPU job.")
    assert [item.decision.device for item in cloud.work_items()] == [JobDevice.GPU]


def test_a_job_that_cannot_hold_the_file_does_not_take_it_over(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(CPU_JOB=CPU_JOB, JOB_DISK_GIB="0.00001")
    cloud.runner.refuse_next(1)
    record = record_of(services, handled(cloud, services))
    assert cloud.executions() == []
    assert record.state is JobState.QUEUED
    assert record.decision is not None
    assert record.decision.device is JobDevice.CPU


def test_where_neither_job_starts_the_upload_waits_for_the_one_that_was_decided(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    cloud.runner.refuse_next(2)
    record = record_of(services, handled(cloud, services))
    assert cloud.executions() == []
    assert record.state is JobState.QUEUED
    assert record.decision is not None
    assert record.decision.device is JobDevice.CPU


def test_no_upload_moves_to_a_job_that_its_owner_does_not_pay_for(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(CPU_JOB=CPU_JOB)
    cloud.runner.refuse_next(1)
    # Starting the GPU costs more than a cent.
    upload = cloud.drop(AUDIO, metadata={MAX_COST_METADATA: "0.005"})
    handle(services, upload)
    assert cloud.executions() == []
    decision = record_of(services, upload).decision
    assert decision is not None
    assert decision.device is JobDevice.CPU


def test_nothing_to_launch_is_no_launch(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(ENABLE_GPU_TRANSCRIPTION="false")
    assert not launch(services, JobDevice.GPU, "a job")
    assert cloud.executions() == []


def test_a_job_cannot_be_dispatched_before_it_is_routed(cloud: LoopbackCloud, services: Services) -> None:
    job = services.jobs.claim(cloud.drop(AUDIO), "me", timedelta(minutes=1))
    assert job is not None
    with pytest.raises(DropscribeError, match="before it was routed"):
        routed(job)
