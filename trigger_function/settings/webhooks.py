"""Whom outcomes are posted to."""

from __future__ import annotations

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings

from shared.settings.field import SETTINGS_CONFIG, CommaSeparated, setting


class WebhookSettings(BaseSettings):
    """Whom outcomes are posted to, and how."""

    model_config = SETTINGS_CONFIG

    webhook_urls: CommaSeparated = setting(
        (),
        "Where every outcome is posted to, signed.",
        unit="comma-separated URLs, 10 at most",
        source="docs/webhooks.md",
        max_length=10,
    )
    webhook_allowed_origins: CommaSeparated = setting(
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

    @field_validator("webhook_urls", "webhook_allowed_origins")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not one.startswith(("https://", "http://")) for one in value):
            raise ValueError("each has to begin with https://")
        return value
