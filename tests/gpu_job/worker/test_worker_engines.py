"""A worker whose Parakeet fails: what Deepgram may hear of an upload, and what that costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import Samples
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.costs.bill import LineItemKind, Phase
from shared.enums import Engine, Outcome, Privacy
from shared.errors import EngineFailed, FailureKind
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.state.jobs.record import Job, JobState
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

    def finish(self, chunks: int) -> list[list[Token]]:
        return [[] for _ in range(chunks)]


class DeafServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        return Deaf()


class Wordless(Deaf):
    """Recognizes nothing in any batch, however many there are."""

    def run(self, prepared: int) -> int:
        return prepared


class WordlessServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        return Wordless()


class BareServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        raise EngineFailed("There is no model.", FailureKind.MODEL_LOAD)


Transcribed = Callable[..., TerminalMessage]


class Lost(Deaf):
    """Loses its GPU in the first batch."""

    def run(self, prepared: int) -> int:
        raise EngineFailed("The GPU failed.", FailureKind.GPU_LOST)


class LostServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        return Lost()


class HungServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        threading.Event().wait(PATIENCE)
        raise AssertionError("the process was to leave")


class LaterLost(Deaf):
    """Hears nothing in the first batch, and loses its GPU when the audit has it listen again."""

    def run(self, prepared: int) -> int:
        self._batches += 1
        if self._batches > 1:
            raise EngineFailed("The GPU failed.", FailureKind.GPU_LOST)
        return prepared


class LaterLostServices(JobServices):
    def load_model(self, engine: Engine) -> Deaf:
        return LaterLost()


@dataclass(frozen=True)
class Deployed:
    """A cloud with short calls on its queue, for workers of any kind of services."""

    cloud: LoopbackCloud
    services: JobServices

    def queue(self, **changes: Any) -> Job:
        media = MEDIA.model_copy(update={"duration_seconds": CALL.duration})
        job, item = queue_job(self.services, self.cloud, data=CALL.path.read_bytes(), media=media, **changes)
        path = self.services.publisher.topic_path(PROJECT, WORK_TOPIC)
        self.services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
        return job

    def work(self, kind: type[JobServices]) -> bool:
        """Whether a worker with such services left nothing to another process."""
        services = kind(**vars(self.services))
        subscription = WorkSubscription(self.cloud.subscriber, self.cloud.subscription(WORK_TOPIC))
        return Worker(services, subscription, Billing(Meter(time.monotonic()), services)).run()


@pytest.fixture
def deployed(
    cloud: LoopbackCloud, shared_deepgram_server: DeepgramServer, deepgram_key: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed]:
    environment = {
        "WORK_IDLE_SECONDS": "0",
        "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test",
        "JOB_GPU": "none",
        "MODEL_LOAD_TIMEOUT_SECONDS": "1",
        "DEEPGRAM_API_KEY": deepgram_key,
        "DEEPGRAM_BASE_URL": shared_deepgram_server.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with worker_services() as services:
        yield Deployed(cloud, services)


@pytest.fixture
def transcribed(deployed: Deployed) -> Transcribed:
    """`transcribed(services, options=...)`: what a worker with such services makes of a short call."""

    def run(kind: type[JobServices], **changes: Any) -> TerminalMessage:
        deployed.queue(**changes)
        assert deployed.work(kind)
        (message,) = deployed.cloud.terminal_messages()
        return message

    return run


def deepgram_minutes(message: TerminalMessage) -> float:
    return sum(line.quantity for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM)


def test_omissions_that_deepgram_transcribed_again_are_paid_for(
    transcribed: Transcribed, shared_deepgram_server: DeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    message = transcribed(DeafServices)
    assert message.word_count > 10
    made = shared_deepgram_server.requests[calls:]
    assert made
    assert deepgram_minutes(message) == pytest.approx(sum(one.audio_seconds or 0.0 for one in made) / 60, rel=0.01)


def test_omissions_of_a_private_upload_stay_here(
    transcribed: Transcribed, shared_deepgram_server: DeepgramServer
) -> None:
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


@pytest.mark.parametrize(("kind", "reason"), [(LostServices, "The GPU failed"), (HungServices, "did not answer")])
def test_a_worker_that_lost_its_model_ends_what_may_leave_and_gives_the_rest_another_attempt(
    deployed: Deployed, kind: type[JobServices], reason: str
) -> None:
    public = deployed.queue(name="public.opus")
    private = [deployed.queue(name=f"{n}.opus", options=UploadOptions(privacy=Privacy.LOCAL)) for n in range(2)]
    assert not deployed.work(kind)
    (message,) = deployed.cloud.terminal_messages()
    assert (message.job_id, message.outcome) == (public.id, Outcome.COMPLETED)
    assert message.engines == (Engine.DEEPGRAM,)
    for job in private:
        left = deployed.services.jobs.load(job.id)
        assert left is not None
        # One of them may have done it to the other: they run alone from now on, and then it counts.
        assert (left.record.state, left.record.attempts, left.record.lost_attempts) == (JobState.QUEUED, 0, 1)
        assert reason in (left.record.last_error or "")
    assert deployed.work(WordlessServices)
    ended = deployed.cloud.terminal_messages()
    assert {message.job_id for message in ended} == {job.id for job in private}
    assert {message.outcome for message in ended} == {Outcome.COMPLETED_WITH_GAPS}


def test_a_gpu_that_is_lost_during_the_audit_gives_a_private_upload_another_attempt(deployed: Deployed) -> None:
    job = deployed.queue(options=UploadOptions(privacy=Privacy.LOCAL))
    assert not deployed.work(LaterLostServices)
    left = deployed.services.jobs.load(job.id)
    assert left is not None
    assert (left.record.state, left.record.attempts, left.record.lost_attempts) == (JobState.QUEUED, 0, 1)
    assert deployed.cloud.terminal_messages() == []


def test_a_worker_that_lost_its_gpu_takes_no_more_work(deployed: Deployed) -> None:
    """One private upload after the other would use up its attempts here."""
    local = UploadOptions(privacy=Privacy.LOCAL)
    jobs = [deployed.queue(name=f"{number}.opus", options=local) for number in range(6)]
    assert deployed.services.settings.uploads_in_flight < len(jobs)
    assert not deployed.work(LostServices)
    records = [job.record for one in jobs if (job := deployed.services.jobs.load(one.id))]
    assert [record.attempts for record in records] == [0] * 6
    lost = [record.lost_attempts for record in records]
    assert sorted(lost)[:2] == [0, 0]
    assert max(lost) == 1


def test_an_upload_that_crashes_the_engine_alone_uses_up_its_own_attempts(deployed: Deployed) -> None:
    job = deployed.queue(options=UploadOptions(privacy=Privacy.LOCAL))
    most = deployed.services.settings.max_attempts
    for attempts in range(most + 1):
        assert not deployed.work(LostServices)
        left = deployed.services.jobs.load(job.id)
        assert left is not None
        assert (left.record.attempts, left.record.lost_attempts) == (attempts, attempts + 1)
    assert deployed.work(LostServices)
    (message,) = deployed.cloud.terminal_messages()
    assert message.outcome is Outcome.FAILED
    assert message.reason == (
        f"The worker ended {most} times while it worked on the file and no other. The last time: The GPU failed."
    )
