"""Settings that function and job share. Every setting is an environment variable with a unit, a default and a source.

The function's own settings stand in `trigger_function/settings.py`, the job's in `gpu_job/settings.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AliasChoices, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.costs.launch_plan import LaunchRules
from shared.costs.prices import JobShape
from shared.costs.speeds import DeviceSpeed, Speeds
from shared.enums import JobDevice
from shared.languages.choice import MULTI, LanguageChoice, parse_language_choice
from shared.languages.deepgram import DEEPGRAM_LANGUAGES
from shared.languages.models import LANGUAGE_MODELS, LanguageModels
from shared.languages.table import LanguageTable
from shared.options.model import LONGEST_DEADLINE_MINUTES
from shared.options.subtitle_rules import (
    MAX_CHARS_PER_SECOND,
    MAX_COLUMNS,
    MAX_LINES,
    MAX_SECONDS,
    MIN_COLUMNS,
    SubtitleOptions,
)
from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.request import RedactionRequest, parse_kinds, parse_terms
from shared.transcript.confidence import LOW_CONFIDENCE

GIB = 2**30
MB = 1_000_000

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]


def setting(default: Any, about: str, *, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A field whose unit and source are part of its schema, so that docs and Terraform checks can read them."""
    return Field(default, description=about, json_schema_extra={"unit": unit, "source": source}, **limits)


SETTINGS_CONFIG = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)
"""Of every settings class. Inputs are hidden because an error of two settings that contradict each other would quote
all of them, keys included."""


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


JOB_NAME = r"^projects/[^/]+/locations/[^/]+/jobs/[^/]+$"


class ExecutionSettings(BaseSettings):
    """The Cloud Run jobs, and how many executions of each run at once."""

    model_config = SETTINGS_CONFIG

    gpu_job: str | None = setting(None, "Full name of the Cloud Run GPU job.", pattern=JOB_NAME)
    cpu_job: str | None = setting(None, "Full name of the Cloud Run job without a GPU.", pattern=JOB_NAME)
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


class BudgetSettings(BaseSettings):
    """What a month may cost, and where alerts about it are published."""

    model_config = SETTINGS_CONFIG

    monthly_budget_usd: float | None = setting(
        None,
        "Uploads that would take the month's sum past this are rejected. MONTHLY_TRANSCRIPTION_BUDGET is its older"
        " name.",
        unit="$ a month, in UTC",
        gt=0,
        validation_alias=AliasChoices("monthly_budget_usd", "monthly_transcription_budget"),
    )
    budget_cache_seconds: float = setting(
        60.0,
        "How long an instance uses its last sum of the ledger; 0: it sums for every upload.",
        unit="s",
        source="docs/costs.md, the bound",
        ge=0,
    )
    alerts_topic: str = setting("transcription-alerts", "Pub/Sub topic of budget alerts.", min_length=3)


class SubtitleSettings(BaseSettings):
    """What subtitles may be, where an upload's `transcribe-subtitles` does not say."""

    model_config = SETTINGS_CONFIG

    subtitle_line_columns: int | None = setting(
        None,
        "Longest line of a subtitle; a full-width character takes two. By default 42, 26 in Japanese, 32 in Chinese and"
        " Korean.",
        unit="columns",
        source="Netflix, Timed Text Style Guides: 42 characters, 13 and 16 full-width ones",
        ge=MIN_COLUMNS,
        le=MAX_COLUMNS,
    )
    subtitle_lines: int = setting(
        2, "Most lines of a subtitle.", unit="lines", source="Netflix and BBC", ge=1, le=MAX_LINES
    )
    subtitle_min_seconds: float = setting(
        1.0,
        "Shortest time on screen, as far as 0.5 s before and after the words allow.",
        unit="s",
        source="Netflix has 5/6 s",
        gt=0,
        le=MAX_SECONDS,
    )
    subtitle_max_seconds: float = setting(
        7.0, "Longest time on screen.", unit="s", source="Netflix", gt=0, le=MAX_SECONDS
    )
    subtitle_chars_per_second: float | None = setting(
        None,
        "How fast viewers read. By default 17, 4 in Japanese, 9 in Chinese, 12 in Korean.",
        unit="characters a second",
        source="Netflix, Timed Text Style Guides",
        gt=0,
        le=MAX_CHARS_PER_SECOND,
    )

    @model_validator(mode="after")
    def _shortest_is_not_longer(self) -> Self:
        if self.subtitle_min_seconds > self.subtitle_max_seconds:
            raise ValueError("SUBTITLE_MIN_SECONDS is more than SUBTITLE_MAX_SECONDS")
        return self

    @property
    def subtitles(self) -> SubtitleOptions:
        """What the deployment requests instead of what a language's rules have."""
        return SubtitleOptions(
            line=self.subtitle_line_columns,
            lines=self.subtitle_lines,
            min=self.subtitle_min_seconds,
            max=self.subtitle_max_seconds,
            cps=self.subtitle_chars_per_second,
        )


class ProgressSettings(BaseSettings):
    """Who is told how far jobs are. Their records say so in any case."""

    model_config = SETTINGS_CONFIG

    events_topic: str | None = setting(
        None, "Pub/Sub topic of jobs' progress, by stage; without one none is published.", min_length=3
    )
    events_seconds: float = setting(
        5.0,
        "Least time between two of these messages about one job at the same stage.",
        unit="s",
        source="what a bar needs; an hour of audio on an L4 takes 30 s",
        ge=1,
    )


class TrainingSettings(BaseSettings):
    """What Deepgram may do with recordings beside transcribing them: it may decide what a minute costs, too."""

    deepgram_mip_opt_out: bool = setting(
        True,
        "Whether every call forbids Deepgram to keep the recording and train on it, its Model Improvement Program. The "
        "price book has a price for each (docs/costs.md).",
        source="https://developers.deepgram.com/trust-security/your-data, read 2026-11-28: it keeps them by default",
    )


class RedactionSettings(BaseSettings):
    """What is redacted in every upload. An upload may add to it, and takes nothing away."""

    model_config = SETTINGS_CONFIG

    redact: str = setting(
        "",
        "What is redacted in every upload: some of pii, numbers, custom, with commas between them. `transcribe-redact`"
        " adds to it.",
    )
    redact_terms: str = setting(
        "",
        "Phrases and patterns that are redacted in every upload, with commas between them (docs/redaction.md).",
    )
    redact_audio: AudioMasking = setting(
        AudioMasking.MUTE,
        "What is heard in the place of redacted words in `redacted.ogg`, where an upload does not say: mute, beep; off:"
        " no such file is made.",
    )
    redact_margin_seconds: float = setting(
        0.2,
        "Masked before and behind redacted words at first; it doubles where they are heard all the same.",
        unit="s",
        source="word times are right to about 0.1 s (docs/benchmarks.md)",
        ge=0,
        le=5,
    )
    unredacted_bucket: BucketName | None = setting(
        None,
        "Bucket that receives the transcripts of redacted uploads as they were before; by default they are not stored.",
    )

    @field_validator("redact")
    @classmethod
    def _kinds_are_known(cls, value: str) -> str:
        try:
            parse_kinds(value)
        except ValueError:
            raise ValueError(f"known are {', '.join(Redact)}") from None
        return value

    @model_validator(mode="after")
    def _terms_are_known(self) -> Self:
        request = self.redaction  # raises for terms that are none
        if Redact.CUSTOM in request.kinds and not request.terms:
            raise ValueError("REDACT has custom, and REDACT_TERMS are missing")
        return self

    @property
    def redaction(self) -> RedactionRequest:
        """What the deployment redacts."""
        terms = parse_terms(self.redact_terms)
        asked = {*parse_kinds(self.redact), *((Redact.CUSTOM,) if terms else ())}
        kinds = tuple(kind for kind in Redact if kind in asked)
        return RedactionRequest(kinds=kinds, terms=terms, audio=self.redact_audio)


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


class SpeedSettings(BaseSettings):
    """Speeds that quotes assume until this deployment has measured its own."""

    model_config = SETTINGS_CONFIG

    gpu_startup_seconds: float = setting(
        30.0,
        "Start-up of a GPU instance: container, imports, model load.",
        unit="s",
        source="5 s instance (Cloud Run), 9 s imports (docs/benchmarks.md), 13 s model load in bf16 (its model card)",
        gt=0,
    )
    cpu_startup_seconds: float = setting(
        9.0,
        "Start-up of an instance without GPU: container, imports, model load.",
        unit="s",
        source="5 s instance (Cloud Run), 3.8 s of CPU time to the first batch (docs/benchmarks.md)",
        gt=0,
    )
    gpu_x_real_time: float = setting(
        123.0,
        "Audio that Parakeet transcribes in a second on the GPU.",
        unit="x real time",
        source="L4, whole job: 205 min in 100 s (AWS blog, April 2026)",
        gt=0,
    )
    cpu_x_real_time: float = setting(
        12.0,
        "Audio that Parakeet transcribes in a second without GPU.",
        unit="x real time",
        source="an assumption for 4 vCPU, two threads on each of two cores: int8 on ONNX Runtime reaches 17.6 on two"
        " cores with AVX-512 and about 6 on two older ones (docs/benchmarks.md); learned from the first executions",
        gt=0,
    )
    decode_x_real_time: float = setting(
        500.0,
        "Audio that is decoded in a second.",
        unit="x real time",
        source="10 min of opus in 1.1 s, FFmpeg on one core (AMD EPYC, 2026-11-21)",
        gt=0,
    )
    deepgram_x_real_time: float = setting(
        100.0,
        "Audio that Deepgram transcribes in a second.",
        unit="x real time",
        source="an assumption, no figure is public; learned from the first answers",
        gt=0,
    )

    speakers_x_real_time: float = setting(
        60.0,
        "Audio whose speakers the job tells apart in a second, where an upload asks for that.",
        unit="x real time",
        source="115 s of one core an hour of audio (AMD EPYC, 2026-11-28), on two threads",
        gt=0,
    )

    def initial_speeds(self, gpu: str | None) -> Speeds:
        """The starting values, for the deployment's GPU type and for `cpu`."""
        devices = {"cpu": DeviceSpeed(self.cpu_startup_seconds, self.cpu_x_real_time)}
        if gpu is not None:
            devices[gpu] = DeviceSpeed(self.gpu_startup_seconds, self.gpu_x_real_time)
        return Speeds(devices, self.decode_x_real_time, self.deepgram_x_real_time, self.speakers_x_real_time)


class DeploymentSettings(
    ExecutionSettings,
    JobShapeSettings,
    FileRoomSettings,
    SpeedSettings,
    BreakerSettings,
    ProgressSettings,
    SubtitleSettings,
    TrainingSettings,
    RedactionSettings,
):
    """Where the deployment's parts are, and what is the same for function and job."""

    google_cloud_project: str = setting(..., "Google Cloud project that holds the pipeline.", min_length=1)
    results_bucket: BucketName = setting(..., "Bucket that receives transcripts and receipts.")
    state_bucket: BucketName = setting(..., "Bucket that holds job records, outcomes and execution slots.")
    results_prefix: str = setting("", "Folder of the results bucket under which results are written.")
    results_topic: str = setting("transcription-results", "Pub/Sub topic of terminal outcomes.", min_length=3)
    work_topic: str = setting("transcription-work", "Pub/Sub topic of the GPU job's work items.", min_length=3)
    price_book: Path | None = setting(None, "TOML file used instead of the shipped price book.")
    deepgram_model: str = setting(
        "nova-3", "Deepgram model that is used, and whose price savings are compared with.", min_length=1
    )
    max_completion_minutes: float | None = setting(
        None, "Deadline of every upload that sets none itself.", unit="min", gt=0, le=LONGEST_DEADLINE_MINUTES
    )
    enable_fallback: bool = setting(True, "Whether another engine takes over when the chosen one fails.")
    language: str = setting(
        "en",
        "Language of uploads that bring no `transcribe-language`: a tag, several with commas, or `auto`.",
        unit="BCP 47 tag",
    )
    language_models: str = setting(
        LANGUAGE_MODELS,
        "Which model transcribes uploads of other languages than LANGUAGE, whose model is PARAKEET_MODEL_NAME:"
        " MODEL=LANGUAGES with `;` between models and spaces between languages; `*`: all others. The first model that"
        " has a language gets it. Empty: none but LANGUAGE.",
        source="the models' cards; Whisper: its tokenizer",
    )
    deepgram_languages: str = setting(
        DEEPGRAM_LANGUAGES,
        "Languages that DEEPGRAM_MODEL has, with spaces between them; no upload of another one is sent to it.",
        source="nova-3, Deepgram's changelog until 2026-03-31",
    )
    low_confidence: float = setting(
        LOW_CONFIDENCE,
        "Mean confidence of the words below which transcript and outcome warn of `low_confidence`; 0: never.",
        unit="confidence, 0 to 1",
        source="a model on speech it does not know: 0.85 to 0.88, on its own 0.988 and more; docs/results.md",
        ge=0,
        le=1,
    )
    max_attempts: int = setting(
        3,
        "Attempts after which a job fails: workers that died with it, or times it was queued in vain.",
        unit="attempts",
        source="a file that kills the decoder must not do so for ever",
        ge=1,
    )
    max_wait_hours: float = setting(
        24.0,
        "Time after which a job without an outcome fails, however often it may be tried still.",
        unit="h",
        source="Eventarc gives an event up after 24 h",
        gt=0,
    )
    max_unpacked_bytes: int = setting(
        2_000_000_000,
        "Largest content of an upload that is stored with Content-Encoding: gzip.",
        unit="bytes, unpacked",
        source="what Deepgram takes of one file; 17 h of 16 kHz mono WAV",
        gt=0,
    )
    log_level: str = setting(
        "INFO", "Least severity that is logged.", pattern="^(?i:DEBUG|INFO|WARNING|ERROR|CRITICAL)$"
    )

    @field_validator("language")
    @classmethod
    def _is_language(cls, value: str) -> str:
        if value.strip().lower() != MULTI:
            parse_language_choice(value)
        return value

    @field_validator("language_models")
    @classmethod
    def _are_language_models(cls, value: str) -> str:
        LanguageModels.parse(value)
        return value

    @property
    def spoken_language(self) -> LanguageChoice | None:
        """LANGUAGE; None for Deepgram's `multi`, several languages within a recording."""
        return None if self.language.strip().lower() == MULTI else parse_language_choice(self.language)

    @property
    def language_table(self) -> LanguageTable:
        """Which models and services have which languages."""
        return LanguageTable(
            self.spoken_language,
            LanguageModels.parse(self.language_models),
            frozenset(self.deepgram_languages.replace(",", " ").split()),
        )

    def hardware(self, device: JobDevice) -> str | None:
        """What a job's model runs on, as speeds are learned by; None for a GPU job of which no GPU is known."""
        return self.shape.gpu if device is JobDevice.GPU else "cpu"


class DeepgramSettings(TrainingSettings):
    """How Deepgram is called."""

    model_config = SETTINGS_CONFIG

    deepgram_api_key: SecretStr | None = setting(None, "Deepgram API key; without one Deepgram is never chosen.")
    deepgram_base_url: str = setting(
        "https://api.deepgram.com",
        "Address of the Deepgram API.",
        source="Deepgram API reference",
        pattern="^https?://",
    )
    deepgram_timeout_seconds: float = setting(
        240.0,
        "Longest wait for one answer before another engine takes over.",
        unit="s",
        source="with DEEPGRAM_LATE_SECONDS it fits into the 540 s an event-driven function may take",
        gt=0,
    )
    deepgram_late_seconds: float = setting(
        240.0,
        "How much longer an answer is waited for, and used where the other engine has none yet.",
        unit="s",
        source="see DEEPGRAM_TIMEOUT_SECONDS",
        ge=0,
    )
    deepgram_attempts: int = setting(2, "Calls for one upload, the first included.", unit="calls", ge=1, le=5)
    deepgram_max_bytes: int = setting(
        2_000_000_000, "Largest upload Deepgram accepts.", unit="bytes", source="Deepgram limits, 2 GB per file", gt=0
    )
