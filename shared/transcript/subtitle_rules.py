"""What a subtitle may be: how wide, how many lines, how long on screen, how fast to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class _Reading(NamedTuple):
    columns: int
    """Of one line; a full-width character takes two."""
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
    def of_language(cls, language: str) -> SubtitleRules:
        """The rules of a language, by its BCP 47 tag."""
        reading = _BY_LANGUAGE.get(language.partition("-")[0].lower(), _MOST_LANGUAGES)
        return cls(columns=reading.columns, chars_per_second=reading.chars_per_second)
