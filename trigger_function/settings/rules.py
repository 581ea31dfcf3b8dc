"""What uploads are given by the folder they lie in."""

from __future__ import annotations

from functools import cached_property

from pydantic import field_validator
from pydantic_settings import BaseSettings

from shared.options.rules import UploadRules, parse_rules
from shared.settings.field import SETTINGS_CONFIG, setting


class RuleSettings(BaseSettings):
    """What uploads are given by the folder they lie in."""

    model_config = SETTINGS_CONFIG

    upload_rules: str = setting(
        "",
        "Options, privacy, cost limits and budgets by pattern of names: a file of rules.",
        unit="TOML",
        source="docs/options.md",
    )

    @field_validator("upload_rules")
    @classmethod
    def _are_rules(cls, value: str) -> str:
        parse_rules(value)
        return value

    @cached_property
    def rules(self) -> UploadRules:
        """The rules of UPLOAD_RULES."""
        return parse_rules(self.upload_rules)
