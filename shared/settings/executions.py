"""The jobs' executions: how many run, what an instance is and holds, and when the GPU is left alone."""

from __future__ import annotations

from pydantic_settings import BaseSettings

from shared.costs.launch_plan import LaunchRules
from shared.costs.prices import JobShape
from shared.enums import JobDevice
from shared.settings.field import GIB, MB, SETTINGS_CONFIG, setting

_JOB_NAME = r"^projects/[^/]+/locations/[^/]+/jobs/[^/]+$"


class ExecutionSettings(BaseSettings):
    """The Cloud Run jobs, and how many executions of each run at once."""

    model_config = SETTINGS_CONFIG

    gpu_job: str | None = setting(None, "Full name of the Cloud Run GPU job.", pattern=_JOB_NAME)
    cpu_job: str | None = setting(None, "Full name of the Cloud Run job without a GPU.", pattern=_JOB_NAME)
    run_endpoint: str | None = setting(
        None, "Address of the Cloud Run Admin API, where it is not Google's.", pattern="^https?://"
    )
    max_parallel_tasks: int = setting(
        5,
        "Most executions of the GPU job at once. With less quota those that run do the work.",
        unit="executions",
        source="docs/costs.md, a burst",
        ge=1,
        le=100,
    )
    cpu_max_parallel_tasks: int = setting(
        5, "Most executions of the job without a GPU at once.", unit="executions", ge=1, le=100
    )
    target_drain_minutes: float = setting(
        10.0,
        "Time within which what waits on a queue is to be transcribed: more executions are started where those that"
        " run would take longer.",
        unit="min",
        gt=0,
    )
    launch_seconds: float = setting(
        300.0,
        "Time a launched execution has to start work before another one may be launched in its place.",
        unit="s",
        source="image pull and GPU start take seconds to minutes",
        gt=0,
    )

    def job_of(self, device: JobDevice) -> str | None:
        """Full name of a job, where there is one."""
        return self.gpu_job if device is JobDevice.GPU else self.cpu_job

    def launch_rules(self, device: JobDevice) -> LaunchRules:
        """How many executions of a job are started."""
        count = self.max_parallel_tasks if device is JobDevice.GPU else self.cpu_max_parallel_tasks
        return LaunchRules(max_executions=count, drain_seconds=self.target_drain_minutes * 60)


class JobShapeSettings(BaseSettings):
    """What one instance of the job is billed for, in the function's quotes and in the job's bills."""

    model_config = SETTINGS_CONFIG

    job_gpu: str | None = setting("nvidia-l4", "Accelerator of the job's instances, or `none`.")
    job_vcpu: float = setting(
        4.0,
        "vCPUs of the job's instances.",
        unit="vCPU",
        source="least that Cloud Run gives beside an L4, and terraform's gpu_job",
        gt=0,
    )
    job_memory_gib: float = setting(16.0, "Memory of the job's instances.", unit="GiB", source="the same", gt=0)
    work_idle_seconds: float = setting(
        5.0, "Time without work after which an execution ends.", unit="s", source="idle instances are billed", ge=0
    )

    @property
    def shape(self) -> JobShape:
        """The hardware of an instance, as it is billed."""
        gpu = self.job_gpu if self.job_gpu and self.job_gpu != "none" else None
        return JobShape(gpu=gpu, vcpu=self.job_vcpu, memory_gib=self.job_memory_gib)


class FileRoomSettings(BaseSettings):
    """What of an instance's disk and memory is for uploads: routing and the workers' admission go by the same."""

    model_config = SETTINGS_CONFIG

    job_disk_gib: float | None = setting(
        None,
        "Disk that the job's instances have for uploads, under SCRATCH_FOLDER; 0: none, so that files take memory. By"
        " default workers take what the file system has, and routing sends them files of any size.",
        unit="GiB",
        source="Cloud Run keeps files in memory, unless it is given an ephemeral disk",
        ge=0,
    )
    worker_memory_gib: float = setting(
        3.0,
        "Memory that a worker takes besides its uploads: the model, libraries, decoded audio that waits for the model.",
        unit="GiB",
        source="int8 model on the CPU 2.3 GB, bf16 model 1.3 GB while it is loaded (docs/benchmarks.md)",
        ge=0,
    )
    upload_memory_mb: int = setting(
        500,
        "Memory that an upload takes while it is decoded and transcribed, its file not counted.",
        unit="MB",
        source="77 MB each, four uploads of 30 min on two cores (2026-11-28); four decoders, 24 h of audio (73 MB more"
        " than 10 min, docs/benchmarks.md) and tables of long videos come on top",
        gt=0,
    )

    def largest_file_bytes(self, memory_gib: float, disk_gib: float | None) -> int | None:
        """Largest file that an instance of this shape can hold, alone; None where its disk is not known."""
        if disk_gib is None:
            return None
        if disk_gib > 0:
            return int(disk_gib * GIB)
        taken = int(self.worker_memory_gib * GIB) + self.upload_memory_mb * MB
        return max(0, int(memory_gib * GIB) - taken)


class BreakerSettings(BaseSettings):
    """When the GPU's circuit breaker opens, and how the GPU is tried again."""

    model_config = SETTINGS_CONFIG

    gpu_breaker_failures: int = setting(
        3,
        "Failures of different uploads within the window after which no upload uses the GPU.",
        unit="failures",
        ge=1,
    )
    gpu_breaker_window_seconds: float = setting(600.0, "Age up to which a failure counts.", unit="s", gt=0)
    gpu_breaker_cool_down_seconds: float = setting(
        300.0,
        "Time after which one upload, the trial, uses the GPU again.",
        unit="s",
        source="quota is freed in minutes",
        gt=0,
    )
    gpu_breaker_trial_seconds: float = setting(
        900.0, "Time after which an unfinished trial is given up for another one.", unit="s", gt=0
    )
