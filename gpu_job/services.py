"""What the job works with: its place in the execution, Google's clients, and the stores over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from gpu_job.checkpoints import Checkpoints
from gpu_job.chunking import Cutting
from gpu_job.decoding import DecoderLimits
from gpu_job.engine_room import Recognizer
from gpu_job.preparing import Recipe
from gpu_job.questions import Auditing
from gpu_job.settings import JobSettings
from gpu_job.speech import SpeechDetector
from shared.deployment import Deployment, connect


@dataclass(frozen=True)
class TaskIdentity:
    """Which task of which execution this process is, as Cloud Run tells it."""

    execution: str
    index: int
    attempt: int

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> TaskIdentity:
        """From CLOUD_RUN_EXECUTION, CLOUD_RUN_TASK_INDEX and CLOUD_RUN_TASK_ATTEMPT; by hand there are none."""
        return cls(
            execution=environ.get("CLOUD_RUN_EXECUTION") or f"by-hand-{os.getpid()}",
            index=int(environ.get("CLOUD_RUN_TASK_INDEX") or 0),
            attempt=int(environ.get("CLOUD_RUN_TASK_ATTEMPT") or 0),
        )

    @property
    def holder(self) -> str:
        """The task's name on claims: the same for every attempt, for a new one replaces the one before."""
        return f"{self.execution}/{self.index}"


@dataclass(frozen=True)
class JobServices(Deployment):
    """Everything with an effect that the worker uses."""

    settings: JobSettings
    task: TaskIdentity
    checkpoints: Checkpoints
    recipe: Recipe
    auditing: Auditing
    detector: SpeechDetector

    def load_model(self) -> Recognizer:
        """The model that the settings name. Imports torch and NeMo, which takes seconds: for the engine's thread."""
        from gpu_job.parakeet import Limits, Parakeet

        limits = Limits(
            self.settings.gpu_batch_size, self.settings.batch_audio_seconds, self.settings.cpu_batch_audio_seconds
        )
        return Parakeet.load(self.settings.parakeet_model_name, limits)


def job_services(settings: JobSettings, task: TaskIdentity) -> JobServices:
    """The services of this process."""
    deployment = connect(settings)
    cutting = Cutting(max_seconds=settings.chunk_seconds)
    return JobServices(
        **vars(deployment),
        settings=settings,
        task=task,
        checkpoints=Checkpoints(deployment.state, f"{settings.parakeet_model_name} {cutting}"),
        recipe=Recipe(
            cutting=cutting,
            decoder=DecoderLimits(settings.decode_stall_seconds, settings.decoder_memory_mb),
            fetch_timeout_seconds=settings.fetch_timeout_seconds,
        ),
        auditing=Auditing(gap_seconds=settings.audit_gap_seconds, max_share=settings.audit_max_share),
        detector=SpeechDetector(),
    )
