"""What subtitles may be."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings

from shared.options.subtitle_rules import (
    MAX_CHARS_PER_SECOND,
    MAX_COLUMNS,
    MAX_LINES,
    MAX_SECONDS,
    MIN_COLUMNS,
    SubtitleOptions,
)
from shared.settings.field import SETTINGS_CONFIG, setting


class SubtitleSettings(BaseSettings):
    """What subtitles may be, where an upload's `transcribe-subtitles` does not say."""

    model_config = SETTINGS_CONFIG

    subtitle_line_columns: int | None = setting(
        None,
        "Longest line of a subtitle; a full-width character takes two. By default 42, 26 in Japanese, 32 in Chinese and"
        " Korean.",
        unit="columns",
        source="Netflix, Timed Text Style Guides: 42 characters, 13 and 16 full-width ones",
        ge=MIN_COLUMNS,
        le=MAX_COLUMNS,
    )
    subtitle_lines: int = setting(
        2, "Most lines of a subtitle.", unit="lines", source="Netflix and BBC", ge=1, le=MAX_LINES
    )
    subtitle_min_seconds: float = setting(
        1.0,
        "Shortest time on screen, as far as 0.5 s before and after the words allow.",
        unit="s",
        source="Netflix has 5/6 s",
        gt=0,
        le=MAX_SECONDS,
    )
    subtitle_max_seconds: float = setting(
        7.0, "Longest time on screen.", unit="s", source="Netflix", gt=0, le=MAX_SECONDS
    )
    subtitle_chars_per_second: float | None = setting(
        None,
        "How fast viewers read. By default 17, 4 in Japanese, 9 in Chinese, 12 in Korean.",
        unit="characters a second",
        source="Netflix, Timed Text Style Guides",
        gt=0,
        le=MAX_CHARS_PER_SECOND,
    )

    @model_validator(mode="after")
    def _shortest_is_not_longer(self) -> Self:
        if self.subtitle_min_seconds > self.subtitle_max_seconds:
            raise ValueError("SUBTITLE_MIN_SECONDS is more than SUBTITLE_MAX_SECONDS")
        return self

    @property
    def subtitles(self) -> SubtitleOptions:
        """What the deployment requests instead of what a language's rules have."""
        return SubtitleOptions(
            line=self.subtitle_line_columns,
            lines=self.subtitle_lines,
            min=self.subtitle_min_seconds,
            max=self.subtitle_max_seconds,
            cps=self.subtitle_chars_per_second,
        )
