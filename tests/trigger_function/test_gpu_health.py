"""The GPU's circuit through the function: refused launches and silent workers open it, one trial closes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import stamina

from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.clock import now
from shared.enums import Engine, Method
from shared.errors import BadMedia, FailureKind
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.gpu_breaker import Breaker, BreakerPolicy, CircuitState
from shared.state.job_result import JobResult, completed, rejected
from shared.state.jobs.record import JobRecord, JobState
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Passage, Word
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import CPU_JOB, GPU_JOB, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
TWO = {"TRANSCRIPTION_METHOD": "parakeet", "GPU_BREAKER_FAILURES": "2"}
MEDIA = Media(container="wav", codec="pcm", duration_seconds=8, sample_rate_hz=16000, channels=1, size_bytes=9)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


def opened_an_hour_ago(services: Services) -> None:
    policy = BreakerPolicy(1, timedelta(minutes=10), timedelta(minutes=5), timedelta(minutes=15))
    Breaker(services.state, policy, lambda: now() - timedelta(hours=1)).record_failure(FailureKind.QUOTA)


def dropped(cloud: LoopbackCloud, services: Services, name: str) -> Upload:
    upload = cloud.drop(AUDIO, name)
    handle(services, upload)
    return upload


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def transcribed_by(engine: Engine, upload: Upload) -> JobResult:
    passages = [Passage(engine, [Word(text="one", start=1, end=2)])]
    coverage = Coverage(speech_seconds=1, covered_seconds=1, gaps=())
    transcript = compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=8,
        language="en",
        model="parakeet",
        passages=passages,
        coverage=coverage,
    )
    return completed(transcript)


def test_refused_launches_open_it_and_then_nothing_is_launched(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**TWO)
    cloud.runner.refuse_next(2, 429)
    for name in ("a.wav", "b.wav", "c.wav"):
        dropped(cloud, services, name)
    health = services.gpu.health()
    assert (health.state, health.failures) == (CircuitState.OPEN, {FailureKind.QUOTA: 2})
    # The third upload would have been accepted; it was not even tried, and waits on the queue.
    assert cloud.executions() == []
    assert len(cloud.work_items()) == 3


def test_open_new_uploads_take_the_next_engine(
    cloud: LoopbackCloud, make_services: MakeServices, shared_deepgram_server: DeepgramServer, deepgram_key: str
) -> None:
    services = make_services(**TWO, DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)
    services.gpu.record_failure(FailureKind.OUT_OF_MEMORY)
    services.gpu.record_failure(FailureKind.OUT_OF_MEMORY)
    dropped(cloud, services, "a.wav")
    (message,) = cloud.terminal_messages()
    assert message.engines == (Engine.DEEPGRAM,)
    assert cloud.executions() == []


def test_open_the_job_without_a_gpu_is_started(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**TWO, CPU_JOB=CPU_JOB)
    services.gpu.record_failure(FailureKind.MODEL_LOAD)
    services.gpu.record_failure(FailureKind.MODEL_LOAD)
    dropped(cloud, services, "a.wav")
    assert cloud.executions() == [CPU_JOB]


def test_after_the_cool_down_one_upload_is_the_trial_and_its_transcript_closes_it(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(**TWO)
    opened_an_hour_ago(services)
    trial, other = dropped(cloud, services, "a.wav"), dropped(cloud, services, "b.wav")
    assert cloud.executions() == [GPU_JOB]
    assert services.gpu.health().state is CircuitState.HALF_OPEN
    services.finisher.finish(
        record_of(services, other), transcribed_by(Engine.PARAKEET_GPU, other), execution="gpu-abcde"
    )
    assert services.gpu.health().state is CircuitState.HALF_OPEN
    services.finisher.finish(
        record_of(services, trial), transcribed_by(Engine.PARAKEET_GPU, trial), execution="gpu-abcde"
    )
    assert services.gpu.health().state is CircuitState.CLOSED


def test_a_trial_that_is_refused_opens_it_again(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(**TWO)
    opened_an_hour_ago(services)
    cloud.runner.refuse_next(1, 404)
    dropped(cloud, services, "a.wav")
    health = services.gpu.health()
    assert health.state is CircuitState.OPEN
    assert health.failures[FailureKind.REFUSED] == 1
    assert not health.available(now())


@pytest.mark.parametrize("how", ["deepgram", "rejected"])
def test_a_trial_that_did_not_show_the_gpu_closes_nothing(
    cloud: LoopbackCloud, make_services: MakeServices, how: str
) -> None:
    services = make_services(**TWO)
    opened_an_hour_ago(services)
    trial = dropped(cloud, services, "a.wav")
    result = {
        "deepgram": transcribed_by(Engine.DEEPGRAM, trial),
        "rejected": rejected(BadMedia("Not audio.")),
    }
    services.finisher.finish(record_of(services, trial), result[how], execution="gpu-abcde")
    assert services.gpu.health().state is CircuitState.HALF_OPEN


@pytest.mark.parametrize(
    ("changes", "failures"),
    [
        ({"state": JobState.RUNNING, "holder": "gpu-abcde/0", "attempts": 1}, {FailureKind.INTERNAL: 1}),
        ({"state": JobState.RUNNING, "holder": "cpu-abcde/0", "attempts": 1}, {}),
        ({"state": JobState.QUEUED, "holder": "function/1"}, {FailureKind.TIMEOUT: 1}),
    ],
    ids=["a worker of the GPU job fell silent", "a worker of the CPU job fell silent", "no worker came"],
)
def test_the_reconciler_blames_the_gpu_for_what_went_quiet(
    cloud: LoopbackCloud, services: Services, changes: dict[str, Any], failures: dict[FailureKind, int]
) -> None:
    job = services.jobs.claim(cloud.drop(AUDIO), "function/gone", timedelta(minutes=1))
    assert job is not None
    decision = Decision(method=Method.PARAKEET, rule="small", reason="Small.")
    quiet = {"lease_until": now() - timedelta(hours=1), "media": MEDIA, "decision": decision}
    services.jobs.save(job, **{**quiet, **changes})
    assert reconcile_all(services) == {"queued again": 1}
    assert services.gpu.health().failures == failures


def test_a_bad_upload_is_not_the_gpus_fault(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    services = make_services(GPU_BREAKER_FAILURES="1")
    handle(services, cloud.drop(b"no audio"))
    assert services.gpu.health().failures == {}
