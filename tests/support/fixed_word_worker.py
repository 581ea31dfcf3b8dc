"""A worker with a model that is no file, and sound uploads on its queue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.settings import JobSettings
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from infra.recordings import recording
from shared.clock import now
from shared.enums import Engine, Method
from shared.media import Media
from shared.messages import Decision, WorkItem
from shared.state.jobs.queued_item import work_item
from shared.state.jobs.record import Job, JobState
from tests.support.loopback_cloud import PROJECT, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE

AUDIO = recording("call.opus").path.read_bytes()
DECISION = Decision(method=Method.PARAKEET, rule="small", reason="Short.")


class FixedWordRecognizer:
    """Hears the same word in every second."""

    name, engine, hardware = "fixed-word", Engine.PARAKEET_CPU, "none"

    def __init__(self) -> None:
        self.batch_limits = BatchLimits(8, 10_000_000)

    def prepare(self, batch: Sequence[Samples]) -> list[int]:
        return [len(samples) // SAMPLE_RATE for samples in batch]

    def run(self, prepared: list[int]) -> list[int]:
        return prepared

    def finish(self, output: list[int]) -> list[list[Token]]:
        return [[Token(" Hello.", at, at + 0.5) for at in range(length)] for length in output]


class FixedWordServices(JobServices):
    def load_model(self, engine: Engine) -> FixedWordRecognizer:
        return FixedWordRecognizer()


TASK = TaskIdentity("transcribe-1", 0, 0)


@contextmanager
def fixed_word_services(task: TaskIdentity = TASK) -> Iterator[FixedWordServices]:
    """The production services but for the model, over the servers that the environment names, with clients of their
    own."""
    made = FixedWordServices(**vars(job_services(JobSettings(), task)))
    try:
        yield made
    finally:
        made.publisher.stop()


def worker(services: JobServices, subscription: WorkSubscription) -> Worker:
    """The production worker."""
    billing = Billing(Meter(time.monotonic()), services)
    return Worker(services, subscription, billing)


def queued(cloud: LoopbackCloud, services: JobServices, name: str, seconds: float = 19.0, audio: bytes = AUDIO) -> Job:
    """An upload whose item is on the queue."""
    upload = cloud.drop(audio, name)
    media = Media(
        container="ogg", codec="opus", duration_seconds=seconds, sample_rate_hz=48000, channels=1, size_bytes=len(audio)
    )
    job = services.jobs.claim(upload, "function/1", timedelta(minutes=1))
    assert job is not None
    job = services.jobs.save(job, state=JobState.QUEUED, media=media, decision=DECISION, queued_at=now())
    item = item_of(job)
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
    return job


def item_of(job: Job) -> WorkItem:
    """What the function put on the queue."""
    media = job.record.media
    assert media is not None
    return work_item(job, media, DECISION)
