"""A job on the queue of a small cloud, and the services of a worker there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from opentelemetry.trace import INVALID_SPAN

from gpu_job.engines.chain import EngineChain
from gpu_job.settings import JobSettings
from gpu_job.transcription.setup import Pipeline, PipelineOptions
from gpu_job.vad.detector import SpeechDetector
from gpu_job.worker.jobs.claimed_job import ClaimedJob
from gpu_job.worker.jobs.running_job import JobOwner, RunningJob
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from shared.enums import Engine, Method
from shared.media import Media, Upload
from shared.messages import Decision, WorkItem
from shared.state.jobs import queued_item
from shared.state.jobs.record import Job, JobState
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.loopback_cloud import LoopbackCloud

MEDIA = Media(container="ogg", codec="opus", duration_seconds=60, sample_rate_hz=48000, channels=1, size_bytes=1000)
DECISION = Decision(method=Method.PARAKEET, rule="small", reason="1.0 min: Parakeet.")
TASK = TaskIdentity("transcribe-x7", 0, 0)
ABSENT = Upload(bucket="uploads", name="never/dropped.wav", generation=1)


@contextmanager
def worker_services(task: TaskIdentity = TASK) -> Iterator[JobServices]:
    """The production services, over the servers that the environment names."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    services = job_services(JobSettings(), task)
    try:
        yield services
    finally:
        services.publisher.stop()
        root.handlers[:], root.level = handlers, level


@dataclass(frozen=True)
class FakeModelServices(JobServices):
    """A worker's services with a model that needs no file, and waits at its gate."""

    recognizer: FakeRecognizer = field(default_factory=FakeRecognizer)

    def load_model(self, engine: Engine) -> FakeRecognizer:
        return self.recognizer


class IdleOwner:
    """An owner that takes note of what its jobs report."""

    def __init__(self) -> None:
        self.complete: list[str] = []
        self.broken: list[Exception] = []
        self.lost: list[str] = []

    def job_complete(self, job: RunningJob) -> None:
        self.complete.append(job.id)

    def job_broke(self, job: RunningJob, error: Exception) -> None:
        self.broken.append(error)

    def claim_lost(self, job: RunningJob) -> None:
        self.lost.append(job.id)


def running_job(
    claimed: ClaimedJob | None, engines: EngineChain | None = None, owner: JobOwner | None = None
) -> RunningJob:
    """A claimed job in a worker's hands, without an audit."""
    assert claimed is not None
    options = PipelineOptions(audit=None)
    pipeline = Pipeline(engines or EngineChain(), options, SpeechDetector(), ThreadPoolExecutor(1))
    return RunningJob(claimed, pipeline, owner or IdleOwner(), INVALID_SPAN)


def as_task(services: JobServices, execution: str, attempt: int = 0) -> JobServices:
    """The same services in another task's hands."""
    return replace(services, task=TaskIdentity(execution, 0, attempt))


def work_item(upload: Upload) -> WorkItem:
    """An item without a job."""
    return WorkItem(job_id=upload.job_id, upload=upload, media=MEDIA, decision=DECISION)


def queue_job(
    services: JobServices, cloud: LoopbackCloud, name: str = "calls/a.opus", *, data: bytes = b"sound", **changes: Any
) -> tuple[Job, WorkItem]:
    """An upload that was routed and queued, its record changed by `changes`, and its work item."""
    upload = cloud.drop(data, name)
    job = services.jobs.claim(upload, "function/gone", timedelta(minutes=1))
    assert job is not None
    usual: dict[str, Any] = {"state": JobState.QUEUED, "media": MEDIA, "decision": DECISION}
    job = services.jobs.save(job, **{**usual, **changes})
    return job, queued_item.work_item(job, MEDIA, DECISION)
