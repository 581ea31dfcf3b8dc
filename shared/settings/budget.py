"""What a month may cost."""

from __future__ import annotations

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from shared.settings.field import SETTINGS_CONFIG, setting


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
