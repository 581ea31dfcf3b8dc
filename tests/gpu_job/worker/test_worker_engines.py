"""A worker whose Parakeet fails: what Deepgram may hear of an upload, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import Samples
from gpu_job.worker.billing import Billing
from gpu_job.worker.meter import Meter
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.costs.bill import LineItemKind, Phase
from shared.enums import Engine, Outcome
from shared.errors import EngineFailed, FailureKind
from shared.messages import TerminalMessage
from shared.upload_options import Privacy, UploadOptions
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import MEDIA, queue_job, worker_services

CALL = recording("call.opus")


class Deaf:
    """Hears nothing in the first batch, and breaks on every later one."""

    name, engine, hardware = "deaf", Engine.PARAKEET_CPU, "none"

    def __init__(self) -> None:
        self.batch_limits = BatchLimits(8, 10_000_000)
        self._batches = 0

    def prepare(self, batch: Sequence[Samples]) -> int:
        return len(batch)

    def run(self, prepared: int) -> int:
        self._batches += 1
        if self._batches > 1:
            raise ValueError("broken")
        return prepared

    def finish(self, heard: int) -> list[list[Token]]:
        return [[] for _ in range(heard)]


class DeafServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        return Deaf()


class BareServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        raise EngineFailed("There is no model.", FailureKind.MODEL_LOAD)


Transcribed = Callable[..., TerminalMessage]


@pytest.fixture
def transcribed(
    cloud: LoopbackCloud, shared_deepgram_server: DeepgramServer, deepgram_key: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Transcribed]:
    """`transcribed(services, options=...)`: what a worker with such services makes of a short call."""
    environment = {
        "WORK_IDLE_SECONDS": "0",
        "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test",
        "JOB_GPU": "none",
        "DEEPGRAM_API_KEY": deepgram_key,
        "DEEPGRAM_BASE_URL": shared_deepgram_server.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with worker_services() as usual:

        def run(kind: type[JobServices], **changes: Any) -> TerminalMessage:
            services = kind(**vars(usual))
            media = MEDIA.model_copy(update={"duration_seconds": CALL.duration})
            _, item = queue_job(services, cloud, data=CALL.path.read_bytes(), media=media, **changes)
            path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
            services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
            subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
            assert Worker(services, subscription, Billing(Meter(time.monotonic()), services)).run()
            (message,) = cloud.terminal_messages()
            return message

        yield run


def deepgram_minutes(message: TerminalMessage) -> float:
    return sum(line.quantity for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM)


def test_holes_that_deepgram_heard_again_are_paid_for(
    transcribed: Transcribed, shared_deepgram_server: DeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    message = transcribed(DeafServices)
    assert message.word_count > 10
    heard = shared_deepgram_server.requests[calls:]
    assert heard
    assert deepgram_minutes(message) == pytest.approx(sum(one.audio_seconds or 0.0 for one in heard) / 60, rel=0.01)


def test_holes_of_a_private_upload_stay_here(transcribed: Transcribed, shared_deepgram_server: DeepgramServer) -> None:
    calls = len(shared_deepgram_server.requests)
    message = transcribed(DeafServices, options=UploadOptions(privacy=Privacy.LOCAL))
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert (message.word_count, deepgram_minutes(message)) == (0, 0)
    assert len(shared_deepgram_server.requests) == calls


def test_without_a_model_deepgram_does_what_may_leave(
    transcribed: Transcribed, shared_deepgram_server: DeepgramServer
) -> None:
    message = transcribed(BareServices)
    assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.DEEPGRAM,))
    assert message.fallbacks > 0
    phases = {line.phase for line in message.bill.items if line.kind is LineItemKind.CPU}
    assert phases == {Phase.START_UP, Phase.WAITING}
    calls = len(shared_deepgram_server.requests)
    message = transcribed(BareServices, name="private.opus", options=UploadOptions(privacy=Privacy.LOCAL))
    assert (message.outcome, message.reason) == (Outcome.FAILED, "There is no model.")
    assert len(shared_deepgram_server.requests) == calls
