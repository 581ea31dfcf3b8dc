"""Words without the punctuation around them, as editors of numbers and swear words compare them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from shared.transcript.model import Word

_PAUSE_SECONDS = 1.0
"""Behind a pause this long another number begins, as another segment does."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word."""

    lead: str
    core: str
    """Without punctuation before and behind it."""
    trail: str
    is_apart: bool
    """Whether punctuation or a pause stands before it."""

    @property
    def key(self) -> str:
        """As tables have it."""
        return self.core.lower()


def tokens_of(words: Sequence[Word]) -> list[Token]:
    """Each word as a token."""
    tokens: list[Token] = []
    for index, word in enumerate(words):
        lead, core, trail = split_punctuation(word.text)
        pauses = index > 0 and word.start - words[index - 1].end >= _PAUSE_SECONDS
        tokens.append(Token(lead, core, trail, pauses or bool(lead) or (index > 0 and bool(tokens[-1].trail))))
    return tokens


def split_punctuation(text: str) -> tuple[str, str, str]:
    """A written word -> what stands before, in and behind it; all of it is in it where it is nothing but signs."""
    first, last = 0, len(text)
    while first < last and _is_punctuation(text[first]) and not _is_minus(text[first:]):
        first += 1
    while last > first and _is_punctuation(text[last - 1]) and text[last - 1] != "%":
        last -= 1
    return ("", text, "") if first == last else (text[:first], text[first:last], text[last:])


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P"


def _is_minus(text: str) -> bool:
    return text[0] == "-" and text[1:2].isdecimal()
