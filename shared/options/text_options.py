"""How the words of a transcript are to be written, whatever engine heard them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Numbers(StrEnum):
    """How numbers, dates, times, sums of money and percentages are written."""

    SPOKEN = "spoken"
    """In words: twenty-three dollars."""
    WRITTEN = "written"
    """In digits: $23."""


class Fillers(StrEnum):
    """What becomes of sounds such as "uh" and "um"."""

    KEEP = "keep"
    """Written where the engine writes them."""
    DROP = "drop"


class Profanity(StrEnum):
    """What becomes of swear words."""

    KEEP = "keep"
    MASK = "mask"
    """The first letter stays: f***."""


@dataclass(frozen=True)
class TextOptions:
    """How words are to be written. None: as the engine writes them."""

    numbers: Numbers | None = None
    fillers: Fillers | None = None
    profanity: Profanity | None = None
