"""What a subtitle may be: how wide, how many lines, how long on screen, how fast to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

MIN_COLUMNS, MAX_COLUMNS = 8, 200
"""Room for a dash and two full-width characters; the longest line that any player shows."""
MAX_LINES = 10
MAX_SECONDS = 60.0
MAX_CHARS_PER_SECOND = 100.0

_Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]


class SubtitleOptions(BaseModel):
    """What a deployment's settings, or an upload's owner, request instead of what a language's rules have."""

    model_config = ConfigDict(frozen=True)

    line: Annotated[int, Field(ge=MIN_COLUMNS, le=MAX_COLUMNS)] | None = None
    """Columns of a line; a full-width character takes two."""
    lines: Annotated[int, Field(ge=1, le=MAX_LINES)] | None = None
    min: _Seconds | None = None
    """Shortest time on screen, in seconds."""
    max: _Seconds | None = None
    """Longest time on screen, in seconds."""
    cps: Annotated[float, Field(gt=0, le=MAX_CHARS_PER_SECOND)] | None = None
    """Characters that viewers read in a second."""

    def __str__(self) -> str:
        given = self.model_dump(exclude_none=True)
        return ",".join(f"{key}={value}" for key, value in given.items())


class _Reading(NamedTuple):
    columns: int
    chars_per_second: float


# Netflix, Timed Text Style Guides of each language (partnerhelp.netflixstudios.com, November 2026): 13 full-width
# characters a line in Japanese, 16 in Chinese and Korean. 17 a second is the limit of most of its languages.
_MOST_LANGUAGES = _Reading(42, 17.0)
_BY_LANGUAGE = {
    "ja": _Reading(26, 4.0),
    "ko": _Reading(32, 12.0),
    "yue": _Reading(32, 9.0),
    "zh": _Reading(32, 9.0),
}


@dataclass(frozen=True)
class SubtitleRules:
    """The limits of one subtitle. Times in milliseconds."""

    columns: int = _MOST_LANGUAGES.columns
    """Longest line; a full-width character takes two columns, a combining mark none."""
    lines: int = 2
    """Most lines (Netflix, general requirements)."""
    min_ms: int = 1000
    """Shortest time on screen, as far as 0.5 s before and after the words allow (Netflix: 5/6 s)."""
    max_ms: int = 7000
    """Longest time on screen (Netflix, general requirements)."""
    chars_per_second: float = _MOST_LANGUAGES.chars_per_second
    """How fast viewers read; what a reader calls a character counts one."""

    @classmethod
    def of(cls, language: str, *requested: SubtitleOptions | None) -> SubtitleRules:
        """The rules of a language, by its BCP 47 tag, with what is requested instead; the later request holds."""
        reading = _BY_LANGUAGE.get(language.partition("-")[0].lower(), _MOST_LANGUAGES)
        rules = cls(columns=reading.columns, chars_per_second=reading.chars_per_second)
        for each in requested:
            if each is not None:
                rules = rules._with(each)
        return rules

    @property
    def requested(self) -> SubtitleOptions:
        """What to request for just these rules, in any language."""
        return SubtitleOptions(
            line=self.columns,
            lines=self.lines,
            min=self.min_ms / 1000,
            max=self.max_ms / 1000,
            cps=self.chars_per_second,
        )

    def _with(self, requested: SubtitleOptions) -> SubtitleRules:
        min_ms, max_ms = self.min_ms, self.max_ms
        # Where only one of them is requested, it moves the other one that would contradict it.
        if requested.min is not None:
            min_ms = round(1000 * requested.min)
            max_ms = max(min_ms, max_ms)
        if requested.max is not None:
            max_ms = round(1000 * requested.max)
            min_ms = min(min_ms, max_ms)
        return SubtitleRules(
            columns=requested.line or self.columns,
            lines=requested.lines or self.lines,
            min_ms=max(1, min_ms),
            max_ms=max(1, max_ms),
            chars_per_second=requested.cps or self.chars_per_second,
        )
