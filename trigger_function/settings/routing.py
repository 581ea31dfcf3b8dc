"""How the method of an upload is decided."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, model_validator
from pydantic_settings import BaseSettings

from shared.enums import Method
from shared.settings.field import SETTINGS_CONFIG, setting


class RoutingSettings(BaseSettings):
    """Which methods may be used, what waiting and money are worth, and the thresholds of the decision table."""

    model_config = SETTINGS_CONFIG

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

    @model_validator(mode="after")
    def _check_thresholds_ascend(self) -> Self:
        hours = (self.parakeet_max_minutes / 60, self.short_file_threshold_hours, self.long_file_threshold_hours)
        if not hours[0] <= hours[1] <= hours[2]:
            raise ValueError(
                "PARAKEET_MAX_MINUTES, SHORT_FILE_THRESHOLD_HOURS and LONG_FILE_THRESHOLD_HOURS must ascend"
            )
        return self
