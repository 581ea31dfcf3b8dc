"""What the job works with: its place in the execution, Google's clients, and the stores over them."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.ffmpeg import DecoderLimits
from gpu_job.audio.parallel import Parallel, usable_cores
from gpu_job.audit.questions import AuditRules
from gpu_job.settings import JobSettings
from gpu_job.vad.detector import SpeechDetector
from gpu_job.worker.batch_size_store import SafeSizeStore
from gpu_job.worker.checkpoints import Checkpoints
from gpu_job.worker.feed import Recipe
from shared.enums import Engine
from shared.errors import SERVICE_UNAVAILABLE_ERRORS, EngineFailed, FailureKind, StateConflict
from shared.state.deployment import Deployment, connect

_log = logging.getLogger(__name__)


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
    auditing: AuditRules
    detector: SpeechDetector

    def load_model(self, engine: Engine) -> Recognizer:
        """The model that the settings name, for the GPU or the CPU. Raises EngineFailed of kind model_load.

        Imports torch and NeMo, which takes seconds: for the engine's thread.
        """
        # A fifth to a third of the import's time goes to the collection of garbage that is none.
        gc.disable()
        try:
            return self._load_model(engine)
        finally:
            gc.enable()

    def _load_model(self, engine: Engine) -> Recognizer:
        from torch import cuda

        from gpu_job.asr.device import Precision, accelerator
        from gpu_job.asr.gpu_watch import watch_gpu
        from gpu_job.asr.nemo.parakeet import Limits, Parakeet

        limits = Limits(
            self.settings.max_batch_chunks,
            self.settings.batch_audio_seconds,
            self.settings.cpu_batch_audio_seconds,
            self.settings.gpu_memory_limit_gb,
        )
        where = "cuda" if engine is Engine.PARAKEET_GPU else "cpu"
        if where == "cuda" and accelerator() != "cuda":
            raise EngineFailed("No GPU can be used on this instance.", FailureKind.MODEL_LOAD)
        precision = Precision(self.settings.model_precision)
        model = Parakeet.load(self.settings.parakeet_model_name, limits, where=where, precision=precision)
        if where == "cuda":
            watch_gpu(cuda)
        try:
            model.batch_limits = replace(model.batch_limits, safe=self._sizes(model).load())
        except SERVICE_UNAVAILABLE_ERRORS:
            # Then this worker learns them anew.
            _log.warning("safe batch sizes were not read", exc_info=True)
        return model

    def remember_sizes(self, model: Recognizer) -> None:
        """A batch was too large for the memory: no later worker shall try it again."""
        try:
            self._sizes(model).remember(model.batch_limits.safe)
        except (*SERVICE_UNAVAILABLE_ERRORS, StateConflict):
            # This worker knows it all the same.
            _log.warning("safe batch sizes were not stored", exc_info=True)

    def gpu_failed(self, kind: FailureKind, job_id: str | None) -> None:
        """The GPU is gone for this process: its circuit hears of it, that others do without."""
        try:
            self.gpu.record_failure(kind, job_id)
        except SERVICE_UNAVAILABLE_ERRORS:
            # The chunks have another engine all the same.
            _log.warning("the GPU's failure was not recorded", exc_info=True)

    def _sizes(self, model: Recognizer) -> SafeSizeStore:
        return SafeSizeStore(self.state, model.hardware, model.name)


def job_services(settings: JobSettings, task: TaskIdentity) -> JobServices:
    """The services of this process."""
    deployment = connect(settings)
    cutting = CutRules(max_seconds=settings.chunk_seconds)
    return JobServices(
        **vars(deployment),
        settings=settings,
        task=task,
        checkpoints=Checkpoints(deployment.state, f"{settings.parakeet_model_name} {cutting}"),
        recipe=Recipe(
            cutting=cutting,
            decoder=DecoderLimits(settings.decode_stall_seconds, settings.decoder_memory_mb),
            fetch_timeout_seconds=settings.fetch_timeout_seconds,
            parallel=Parallel(min(settings.decoder_children, usable_cores()), settings.decoder_ahead_seconds),
        ),
        auditing=AuditRules(
            gap_seconds=settings.audit_gap_seconds,
            max_share=settings.audit_max_share,
            spare_seconds=settings.audit_spare_seconds,
        ),
        detector=SpeechDetector(),
    )
