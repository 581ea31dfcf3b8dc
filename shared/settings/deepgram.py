"""How Deepgram is called, and what it may do with recordings."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from shared.settings.field import SETTINGS_CONFIG, setting


class TrainingSettings(BaseSettings):
    """What Deepgram may do with recordings beside transcribing them: it may decide what a minute costs, too."""

    deepgram_mip_opt_out: bool = setting(
        True,
        "Whether every call forbids Deepgram to keep the recording and train on it, its Model Improvement Program. The "
        "price book has a price for each (docs/costs.md).",
        source="https://developers.deepgram.com/trust-security/your-data, read 2026-11-28: it keeps them by default",
    )


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
