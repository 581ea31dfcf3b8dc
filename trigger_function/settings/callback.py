"""Which calls to Deepgram are answered by callback."""

from __future__ import annotations

from typing import Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings

from shared.settings.field import SETTINGS_CONFIG, setting

LEAST_KEY_CHARACTERS = 32
"""Of the key that signs callback addresses: 128 bits and more in hexadecimal digits."""


class CallbackSettings(BaseSettings):
    """Which calls to Deepgram are answered by callback, and what a callback may be."""

    model_config = SETTINGS_CONFIG

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
