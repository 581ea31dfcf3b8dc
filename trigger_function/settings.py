"""The function's settings: which objects are uploads, how a method is decided, and which jobs there are."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.costs.gathering import GatherRules
from shared.costs.shard_plan import ShardRules
from shared.enums import Method
from shared.options.rules import UploadRules, parse_rules
from shared.options.side_files import side_file_kind
from shared.settings import (
    BudgetSettings,
    DeepgramSettings,
    DeploymentSettings,
    setting,
)

LEAST_KEY_CHARACTERS = 32
"""Of the key that signs callback addresses: 128 bits and more in hexadecimal digits."""


class CallbackSettings(BaseSettings):
    """Which calls to Deepgram are answered by callback, and what a callback may be."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    deepgram_callback_url: str | None = setting(
        None,
        "Address of the function that takes Deepgram's callbacks; without one every answer is waited for. Deepgram"
        " calls the ports 80, 443, 8080 and 8443.",
        pattern="^https?://",
    )
    deepgram_callback_key: SecretStr | None = setting(
        None,
        "Key that signs the addresses of callbacks, at least 32 characters. Of several, separated by commas, the first"
        " signs and each is accepted.",
    )
    deepgram_callback_minutes: float = setting(
        120.0,
        "Longer audio is answered by callback; of channels that are transcribed separately the sum.",
        unit="min of audio",
        source="an answer within DEEPGRAM_TIMEOUT_SECONDS, 240 s, takes 30 x real time, a third of what is assumed",
        ge=0,
    )
    deepgram_callback_seconds: float = setting(
        900.0,
        "Time for a callback, in addition to four times what Deepgram is predicted to take. Then another engine takes"
        " over, or Deepgram is called again.",
        unit="s",
        source="Deepgram works on a file for 10 min at most, and posts an answer up to 10 times, 30 s apart",
        gt=0,
    )
    deepgram_callback_max_bytes: int = setting(
        32 * 2**20,
        "Largest callback. Audio whose answer may be larger is waited for.",
        unit="bytes",
        source="Cloud Run takes no larger request over HTTP/1",
        gt=0,
    )
    deepgram_callback_read_seconds: float = setting(
        30.0, "Longest time in which a callback is to arrive.", unit="s", source="32 MiB at 9 Mbit/s", gt=0
    )
    deepgram_api_key_id: str | None = setting(
        None,
        "Identifier of the API key, not the key itself, that every callback must have in its `dg-token` header.",
        source="https://developers.deepgram.com/docs/callback",
    )

    @property
    def callback_keys(self) -> tuple[bytes, ...]:
        """The keys of callback addresses, the one that signs first."""
        text = self.deepgram_callback_key.get_secret_value() if self.deepgram_callback_key else ""
        return tuple(key.strip().encode() for key in text.split(",") if key.strip())

    @model_validator(mode="after")
    def _check_callback_keys(self) -> Self:
        if any(len(key) < LEAST_KEY_CHARACTERS for key in self.callback_keys):
            raise ValueError(f"DEEPGRAM_CALLBACK_KEY is shorter than {LEAST_KEY_CHARACTERS} characters")
        if self.deepgram_callback_url is not None and not self.callback_keys:
            raise ValueError("DEEPGRAM_CALLBACK_URL is set without DEEPGRAM_CALLBACK_KEY")
        return self


class WebhookSettings(BaseSettings):
    """Whom outcomes are posted to, and how."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    webhook_urls: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "Where every outcome is posted to, signed.",
        unit="comma-separated URLs, 10 at most",
        source="docs/webhooks.md",
        max_length=10,
    )
    webhook_allowed_origins: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "Where an upload's own `transcribe-webhook` may lead; by default nowhere, and an upload that asks for one is"
        " rejected.",
        unit="comma-separated origins, https://HOST",
    )
    webhook_secrets: SecretStr | None = setting(
        None,
        "What the posts are signed with, `whsec_` and base64 of 24 to 64 bytes. Of several, separated by commas, each"
        " signs.",
        source="Standard Webhooks",
    )
    webhook_timeout_seconds: float = setting(
        15.0, "Longest wait for a receiver's answer.", unit="s", source="Standard Webhooks: 15 to 30 s", gt=0, le=60
    )
    webhook_retry_hours: float = setting(
        24.0,
        "How long an outcome is posted again that a receiver did not take.",
        unit="h",
        gt=0,
        le=150,
    )

    @field_validator("webhook_urls", "webhook_allowed_origins", mode="before")
    @classmethod
    def _split_urls(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("webhook_urls", "webhook_allowed_origins")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not one.startswith(("https://", "http://")) for one in value):
            raise ValueError("each has to begin with https://")
        return value


class RuleSettings(BaseSettings):
    """What uploads are given by the folder they lie in."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    upload_rules: str = setting(
        "",
        "Options, privacy, cost limits and budgets by pattern of names: a file of rules.",
        unit="TOML",
        source="docs/options.md",
    )

    @field_validator("upload_rules")
    @classmethod
    def _are_rules(cls, value: str) -> str:
        parse_rules(value)
        return value

    @cached_property
    def rules(self) -> UploadRules:
        """The rules of UPLOAD_RULES."""
        return parse_rules(self.upload_rules)


class FunctionSettings(
    DeploymentSettings, BudgetSettings, DeepgramSettings, CallbackSettings, WebhookSettings, RuleSettings
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
    ignore_patterns: Annotated[tuple[str, ...], NoDecode] = setting(
        (".*", "*.tmp", "*.part", "*.crdownload", "*.filepart", "Thumbs.db", "*.ini", "*.json", "*.csv", "*.md5"),
        "Uploads whose file name matches one of these are not transcribed.",
        unit="comma-separated shell patterns on the last part of the name",
        source="partial downloads, files of desktop systems, side files",
    )

    transcription_method: Literal["auto"] | Method = setting("auto", "Method for every upload, or auto.")
    enable_gpu_transcription: bool = setting(True, "Whether the GPU job may be used.")
    cost_optimization: bool = setting(
        True, "Whether cost and time decide the method; false: the decision table by length and size."
    )
    time_value_usd_per_minute: float = setting(
        0.01, "What a minute of waiting for the transcript is worth.", unit="$ per min", ge=0, allow_inf_nan=False
    )
    max_cost_per_audio_hour_usd: float | None = setting(
        None,
        "Methods that cost more are refused. COST_THRESHOLD_PER_HOUR is its older name.",
        unit="$ per h of audio",
        gt=0,
        validation_alias=AliasChoices("max_cost_per_audio_hour_usd", "cost_threshold_per_hour"),
    )
    gpu_min_monthly_files: int = setting(
        0, "Uploads a month below which Deepgram is used instead of the job.", unit="files", ge=0
    )
    gpu_rollout_percent: int = setting(
        100, "Share of the uploads that the job may take, selected by a hash of the upload.", unit="%", ge=0, le=100
    )
    parakeet_max_minutes: float = setting(
        30.0,
        "Shorter uploads go to Parakeet, with or without a GPU.",
        unit="min of audio",
        source="decision table",
        gt=0,
    )
    parakeet_max_mb: float = setting(
        50.0,
        "Smaller uploads go to Parakeet, with or without a GPU.",
        unit="MB (10^6 bytes)",
        source="decision table",
        gt=0,
    )
    short_file_threshold_hours: float = setting(
        2.0,
        "Up to here Parakeet, or Deepgram when no GPU can be had.",
        unit="h of audio",
        source="decision table",
        gt=0,
    )
    long_file_threshold_hours: float = setting(
        4.0, "Up to here hybrid; above it Deepgram.", unit="h of audio", source="decision table", gt=0
    )
    deepgram_min_mb: float = setting(
        400.0, "Larger uploads go to Deepgram.", unit="MB (10^6 bytes)", source="decision table", gt=0
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
        "How often it is searched; 0: never.",
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

    @field_validator("ignore_patterns", mode="before")
    @classmethod
    def _split_patterns(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_jobs(self) -> FunctionSettings:
        if self.gpu_job is None and self.cpu_job is None and self.deepgram_api_key is None:
            raise ValueError("nothing can transcribe: GPU_JOB, CPU_JOB or DEEPGRAM_API_KEY must be set")
        if self.gpu_job is not None and self.shape.gpu is None:
            raise ValueError("JOB_GPU=none describes no GPU_JOB: a job without a GPU is named by CPU_JOB")
        return self

    @model_validator(mode="after")
    def _check_gathering_ends(self) -> FunctionSettings:
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

    @model_validator(mode="after")
    def _check_thresholds_ascend(self) -> FunctionSettings:
        hours = (self.parakeet_max_minutes / 60, self.short_file_threshold_hours, self.long_file_threshold_hours)
        if not hours[0] <= hours[1] <= hours[2]:
            raise ValueError(
                "PARAKEET_MAX_MINUTES, SHORT_FILE_THRESHOLD_HOURS and LONG_FILE_THRESHOLD_HOURS must ascend"
            )
        return self

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
