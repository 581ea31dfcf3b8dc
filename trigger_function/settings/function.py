"""Everything the function reads: which objects are uploads, which jobs there are, and when they are started."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Self

from pydantic import model_validator

from shared.costs.gathering import GatherRules
from shared.costs.shard_plan import ShardRules
from shared.options.side_files import side_file_kind
from shared.settings.budget import BudgetSettings
from shared.settings.deepgram import DeepgramSettings
from shared.settings.deployment import DeploymentSettings
from shared.settings.field import CommaSeparated, setting
from trigger_function.settings.callback import CallbackSettings
from trigger_function.settings.routing import RoutingSettings
from trigger_function.settings.rules import RuleSettings
from trigger_function.settings.webhooks import WebhookSettings


class FunctionSettings(
    DeploymentSettings,
    BudgetSettings,
    DeepgramSettings,
    CallbackSettings,
    WebhookSettings,
    RuleSettings,
    RoutingSettings,
):
    """Everything the function reads from its environment."""

    cpu_job_vcpu: float = setting(4.0, "vCPUs of the instances of the job without a GPU.", unit="vCPU", gt=0)
    cpu_job_memory_gib: float = setting(
        8.0,
        "Memory of the instances of the job without a GPU.",
        unit="GiB",
        source="int8 model 2.2 GB, decoders, and uploads on a disk that is memory",
        gt=0,
    )
    cpu_job_disk_gib: float | None = setting(
        None, "JOB_DISK_GIB of the job without a GPU, for routing.", unit="GiB", source="terraform's cpu_job", ge=0
    )
    cpu_work_topic: str = setting(
        "transcription-work-cpu", "Pub/Sub topic of the work items of the job without a GPU.", min_length=3
    )
    ignore_patterns: CommaSeparated = setting(
        (".*", "*.tmp", "*.part", "*.crdownload", "*.filepart", "Thumbs.db", "*.ini", "*.json", "*.csv", "*.md5"),
        "Uploads whose file name matches one of these are not transcribed.",
        unit="comma-separated shell patterns on the last part of the name",
        source="partial downloads, files of desktop systems, side files",
    )

    gather_seconds: float = setting(
        0.0,
        "Time for which uploads wait for others to share an execution's start with; 0: not at all. A deadline shortens"
        " it.",
        unit="s",
        ge=0,
    )
    gather_audio_minutes: float = setting(
        60.0,
        "Audio with which an execution starts although more might come.",
        unit="min of audio",
        source="the start of an L4 then costs about as much as the work (docs/costs.md)",
        gt=0,
    )
    reconcile_seconds: float = setting(
        300.0,
        "How often the reconciler is called; uploads with a deadline wait for company so much less.",
        unit="s",
        source="terraform's reconcile_schedule, every 5 min",
        gt=0,
    )

    shard_hours: float = setting(
        2.0,
        "Uploads of more audio are divided into shards of at most so much, which several executions transcribe at once,"
        " where their job may have several; 0: no upload is ever divided.",
        unit="h of audio",
        source="a minute of an L4 each; each costs a pass of decoding, 500 x real time on one core",
        ge=0,
    )
    shard_hours_busy: float = setting(
        6.0,
        "The same where at most one more execution could be started; 0: none is divided then.",
        unit="h of audio",
        source="three minutes of an L4: a killed task redoes no more",
        ge=0,
    )

    inspection_max_bytes: int = setting(
        8 * 2**20,
        "Most bytes that inspection reads of one upload.",
        unit="bytes",
        source="real headers need < 1 MiB",
        gt=0,
    )
    uploads_bucket: str | None = setting(
        None, "Bucket that is searched for uploads whose event was lost; without one, none is.", min_length=3
    )
    sweep_hours: float = setting(
        24.0,
        "How often it is searched; 0: only when `dropscribe reconcile --sweep` asks for it.",
        unit="h",
        source="Eventarc gives an event up after 24 h",
        ge=0,
    )
    sweep_max_days: float = setting(
        7.0,
        "Uploads that are older are not looked for.",
        unit="days",
        source="job records are kept for 14 days at least; without one an upload would be transcribed again",
        gt=0,
        le=13,
    )
    claim_seconds: float = setting(
        600.0,
        "Age after which a claim without a sign of life from its holder is free again.",
        unit="s",
        source="an event-driven function may take 540 s",
        gt=0,
    )
    queue_patience_seconds: float = setting(
        900.0, "Time after which the reconciler handles a queued job that no worker took.", unit="s", gt=0
    )
    signed_url_seconds: float = setting(
        3600.0, "How long the signed URL is valid through which Deepgram fetches an upload.", unit="s", gt=0, le=604800
    )

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        if self.gpu_job is None and self.cpu_job is None and self.deepgram_api_key is None:
            raise ValueError("nothing can transcribe: GPU_JOB, CPU_JOB or DEEPGRAM_API_KEY must be set")
        if self.gpu_job is not None and self.shape.gpu is None:
            raise ValueError("JOB_GPU=none describes no GPU_JOB: a job without a GPU is named by CPU_JOB")
        return self

    @model_validator(mode="after")
    def _check_gathering_ends(self) -> Self:
        if self.gather_seconds > 0 and self.gather_seconds + self.reconcile_seconds >= self.max_wait_hours * 3600:
            raise ValueError("GATHER_SECONDS must end before MAX_WAIT_HOURS, when a job without an outcome fails")
        return self

    @property
    def gather_rules(self) -> GatherRules:
        """When uploads wait for each other."""
        return GatherRules(self.gather_seconds, self.gather_audio_minutes * 60, self.reconcile_seconds)

    @property
    def shard_rules(self) -> ShardRules:
        """How long uploads are divided."""
        return ShardRules(self.shard_hours, self.shard_hours_busy)

    @property
    def has_gpu_job(self) -> bool:
        """Whether there is a GPU job that may be used."""
        return self.enable_gpu_transcription and self.gpu_job is not None

    def ignores(self, name: str) -> str | None:
        """Why an object of this name is not an upload; None where it is one."""
        if name.endswith("/"):
            return "folder marker"
        if (kind := side_file_kind(name)) is not None:
            return kind
        file = PurePosixPath(name).name
        for pattern in self.ignore_patterns:
            if PurePosixPath(file).match(pattern):
                return f"matches IGNORE_PATTERNS {pattern}"
        return None
