"""What each setting is made of: a default, a text, a unit, a source and limits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_settings import NoDecode, SettingsConfigDict

GIB = 2**30
MB = 1_000_000

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]


def setting(default: Any, about: str, *, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A field whose unit and source are part of its schema, so that docs and Terraform checks can read them."""
    return Field(default, description=about, json_schema_extra={"unit": unit, "source": source}, **limits)


SETTINGS_CONFIG = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)
"""Of every settings class. Inputs are hidden because an error of two settings that contradict each other would quote
all of them, keys included."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Values with commas between them; spaces around them do not count."""
