"""Settings that function and job share. Every setting is an environment variable with a unit, a default and a source.

The function's own settings stand in `trigger_function/settings.py`, the job's in `gpu_job/settings.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]


def setting(default: Any, about: str, *, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A field whose unit and source are part of its schema, so that docs and Terraform checks can read them."""
    return Field(default, description=about, json_schema_extra={"unit": unit, "source": source}, **limits)


class DeploymentSettings(BaseSettings):
    """Where the deployment's parts are, and what holds for all of them."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    google_cloud_project: str = setting(..., "Google Cloud project that holds the pipeline.", min_length=1)
    results_bucket: BucketName = setting(..., "Bucket that receives transcripts and receipts.")
    state_bucket: BucketName = setting(..., "Bucket that holds job records, outcomes and leases.")
    results_prefix: str = setting("", "Folder of the results bucket under which results are written.")
    results_topic: str = setting("transcription-results", "Pub/Sub topic of terminal outcomes.", min_length=3)
    work_topic: str = setting("transcription-work", "Pub/Sub topic of work items.", min_length=3)
    price_book: Path | None = setting(None, "TOML file used instead of the shipped price book.")
    deepgram_model: str = setting(
        "nova-3", "Deepgram model that is asked, and whose price savings are measured against.", min_length=1
    )
    language: str = setting("en", "Language of the recordings, as Deepgram and players name it.", unit="BCP 47 tag")
    max_attempts: int = setting(
        3,
        "A job whose worker died this often while working on it, or that was put on the queue this often, fails.",
        unit="attempts",
        source="a file that kills the decoder must not do so for ever",
        ge=1,
    )
    log_level: str = setting(
        "INFO", "Least severity that is logged.", pattern="^(?i:DEBUG|INFO|WARNING|ERROR|CRITICAL)$"
    )


class DeepgramSettings(BaseSettings):
    """How Deepgram is called."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    deepgram_api_key: SecretStr | None = setting(None, "Deepgram API key; without one Deepgram is never chosen.")
    deepgram_base_url: str = setting(
        "https://api.deepgram.com",
        "Address of the Deepgram API.",
        source="Deepgram API reference",
        pattern="^https?://",
    )
    deepgram_timeout_seconds: float = setting(
        240.0,
        "Longest wait for one answer.",
        unit="s",
        source="two attempts fit into the 540 s an event-driven function may take",
        gt=0,
    )
    deepgram_attempts: int = setting(2, "Calls for one upload, the first included.", unit="calls", ge=1, le=5)
    deepgram_max_bytes: int = setting(
        2_000_000_000, "Largest upload Deepgram accepts.", unit="bytes", source="Deepgram limits, 2 GB per file", gt=0
    )
