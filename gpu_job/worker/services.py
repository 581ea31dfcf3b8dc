"""What the job works with: its place in the execution, Google's clients, and the stores over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gpu_job.asr.load_recognizer import load_recognizer
from gpu_job.asr.recognizer import Recognizer
from gpu_job.rendering.process import RenderingProcess
from gpu_job.settings import JobSettings
from gpu_job.worker.batch_size_store import SafeSizeStore
from gpu_job.worker.checkpoints import Checkpoints
from shared.clock import now
from shared.enums import Engine
from shared.errors import best_effort
from shared.operations.gpu_report import GpuReport, store_gpu_report
from shared.state.deployment import Deployment, connect
from shared.state.execution_slots import ExecutionSlots

DEADLINE_SHARE = 1 / 8
"""Of a lease, for a call of the storage client that claims wait for, which may begin a last try just before it ends: a
call that hangs takes at most a quarter of the lease, so everyone else's claim is renewed in time."""

LEAST_DEADLINE_SECONDS = 5.0
"""However short the lease: on a loaded machine a healthy call may take seconds."""


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

    @property
    def attempt_name(self) -> str:
        """This attempt's name on the lines of bills (`LineItem.task`)."""
        return f"{self.execution}/{self.index}-{self.attempt}"


@dataclass(frozen=True)
class JobServices(Deployment):
    """Everything with an effect that the worker uses."""

    settings: JobSettings
    task: TaskIdentity
    checkpoints: Checkpoints
    rendering: RenderingProcess

    @property
    def claims_deadline_seconds(self) -> float:
        """For each call of the storage client that the renewal of claims waits for, or may wait for."""
        return max(LEAST_DEADLINE_SECONDS, self.settings.lease_seconds * DEADLINE_SHARE)

    @property
    def own_slots(self) -> ExecutionSlots:
        """Of the job that this process belongs to."""
        return self.slots[self.settings.shape.job_device]

    def load_model(self, engine: Engine) -> Recognizer:
        """The model that the settings name, for the GPU or the CPU. Raises EngineFailed of kind model_load.

        Imports torch and NeMo, which takes seconds: for the engine's threads.
        """
        model = self._loaded(engine, self.settings.parakeet_model_name)
        if engine is Engine.PARAKEET_GPU:
            from torch import cuda

            from gpu_job.asr.gpu_metrics import watch_gpu

            watch_gpu(cuda)
            with best_effort("the GPU was not reported"):
                card = cuda.get_device_properties(0)
                memory_gb = card.total_memory / 1e9
                report = GpuReport(name=card.name, count=cuda.device_count(), memory_gb=memory_gb, reported_at=now())
                store_gpu_report(self.state, report)
        return model

    def load_other_model(self, engine: Engine, name: str) -> Recognizer:
        """A model of another language. Raises as `load_model`."""
        if engine is Engine.PARAKEET_GPU:
            from torch import cuda

            # What an unloaded model had is the allocator's still.
            cuda.empty_cache()
        return self._loaded(engine, name)

    def _loaded(self, engine: Engine, name: str) -> Recognizer:
        model = load_recognizer(name, engine, self.settings.recognizer_options)
        # Else this worker learns them anew.
        with best_effort("safe batch sizes were not read"):
            model.batch_limits = replace(model.batch_limits, safe=self._batch_sizes(model).load())
        return model

    def store_batch_limits(self, model: Recognizer) -> None:
        """A batch was too large for the memory: no later worker shall try it again."""
        # This worker knows it all the same.
        with best_effort("safe batch sizes were not stored"):
            self._batch_sizes(model).remember(model.batch_limits.safe)

    def _batch_sizes(self, model: Recognizer) -> SafeSizeStore:
        return SafeSizeStore(self.state, model.hardware, model.name)


def job_services(settings: JobSettings, task: TaskIdentity) -> JobServices:
    """The services of this process."""
    rendering = RenderingProcess()
    deployment = connect(settings, rendering.render)
    cuts = settings.pipeline_options.cuts
    return JobServices(
        **vars(deployment),
        settings=settings,
        task=task,
        checkpoints=Checkpoints(
            deployment.state,
            f"{settings.parakeet_model_release or settings.parakeet_model_name} {cuts} {settings.language_models}"
            f" {settings.language}",
        ),
        rendering=rendering,
    )
