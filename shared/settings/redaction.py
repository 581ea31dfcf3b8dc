"""What is redacted in every upload."""

from __future__ import annotations

from typing import Self

from pydantic import field_validator, model_validator
from pydantic_settings import BaseSettings

from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.request import RedactionRequest, parse_kinds, parse_terms
from shared.settings.field import SETTINGS_CONFIG, BucketName, setting


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
