"""The doctor's own settings."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from shared.settings.deepgram import DeepgramSettings
from shared.settings.deployment import DeploymentSettings
from shared.settings.field import setting


class DoctorSettings(DeepgramSettings):
    """How long the doctor waits for answers, and what it takes for old."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    google_apis_endpoint: str | None = setting(
        None,
        "Address of a server that answers for Google's APIs, each below the name of its host (the laptop's).",
        pattern="^https?://",
    )
    doctor_timeout_seconds: float = setting(10.0, "Longest wait for one answer of Google or Deepgram.", unit="s", gt=0)
    doctor_price_book_days: int = setting(90, "A price book that was read longer ago is reported.", unit="days", ge=1)
    doctor_stuck_minutes: float = setting(
        30.0,
        "A job that has been overdue for this long is stuck.",
        unit="min",
        source="the reconciler runs every 5 min",
        gt=0,
    )
    price_book: Path | None = setting(None, str(DeploymentSettings.model_fields["price_book"].description))
