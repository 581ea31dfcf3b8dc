"""Where the deployment's parts are, and what is the same for function and job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import field_validator
from pydantic_settings import BaseSettings

from shared.enums import JobDevice, ResultFormat
from shared.languages.table import LanguageTable
from shared.options.model import LONGEST_DEADLINE_MINUTES
from shared.options.speaker_count import SpeakerModelName
from shared.settings.deepgram import TrainingSettings
from shared.settings.executions import BreakerSettings, ExecutionSettings, FileRoomSettings, JobShapeSettings
from shared.settings.field import SETTINGS_CONFIG, BucketName, CommaSeparated, setting
from shared.settings.languages import LanguageSettings
from shared.settings.redaction import RedactionSettings
from shared.settings.speeds import SpeedSettings
from shared.settings.subtitles import SubtitleSettings
from shared.transcript.quality import LOW_CONFIDENCE


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
    LanguageSettings,
):
    """Where the deployment's parts are, and what is the same for function and job."""

    google_cloud_project: str = setting(..., "Google Cloud project that holds the pipeline.", min_length=1)
    results_bucket: BucketName = setting(..., "Bucket that receives transcripts and receipts.")
    state_bucket: BucketName = setting(..., "Bucket that holds job records, outcomes and execution slots.")
    results_prefix: str = setting("", "Folder of the results bucket under which results are written.")
    result_formats: CommaSeparated = setting(
        tuple(ResultFormat),
        "Files that are stored of a transcript, with commas between them; transcript.json is in any case, and what is"
        " left out can be made of it at any time. Each is an object that is written for each upload.",
        source="docs/results.md",
    )
    results_topic: str = setting("transcription-results", "Pub/Sub topic of terminal outcomes.", min_length=3)
    work_topic: str = setting("transcription-work", "Pub/Sub topic of the GPU job's work items.", min_length=3)
    price_book: Path | None = setting(None, "TOML file used instead of the shipped price book.")
    deepgram_model: str = setting(
        "nova-3", "Deepgram model that is used, and whose price savings are compared with.", min_length=1
    )
    speaker_model: SpeakerModelName = setting(
        "built-in",
        "What tells speakers apart. sortformer: NVIDIA's model of four speakers, on NeMo, with SORTFORMER_FILE, for"
        " uploads that say that four speak at most (`transcribe-speakers: 2-4`); the built-in one hears the others.",
    )
    max_completion_minutes: float | None = setting(
        None, "Deadline of every upload that sets none itself.", unit="min", gt=0, le=LONGEST_DEADLINE_MINUTES
    )
    enable_fallback: bool = setting(True, "Whether another engine takes over when the chosen one fails.")
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

    @field_validator("result_formats")
    @classmethod
    def _are_formats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(name not in ("transcript.json", *ResultFormat) for name in value):
            raise ValueError(f"known are transcript.json, {', '.join(ResultFormat)}")
        return value

    @property
    def formats(self) -> tuple[ResultFormat, ...]:
        """What is stored of a transcript beside transcript.json."""
        return tuple(one for one in ResultFormat if one in self.result_formats)

    @property
    def language_table(self) -> LanguageTable:
        """Which models and services have which languages."""
        return replace(super().language_table, deepgram_model=self.deepgram_model)

    def hardware(self, device: JobDevice) -> str | None:
        """What a job's model runs on, as speeds are learned by; None for a GPU job of which no GPU is known."""
        return self.shape.gpu if device is JobDevice.GPU else "cpu"
