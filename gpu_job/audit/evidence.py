"""Measure evidence of speech: the time that words cover, how long it sounds, and which words are isolated.

Pure functions over words, levels and times. Times in seconds on the upload's clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gpu_job.asr.tokens import PlainWord, Token, by_word, word_of
from gpu_job.audio.loudness import FRAMES_PER_SECOND, Levels
from gpu_job.audit.intervals import Span

LETTER_SECONDS, WORD_SECONDS = 0.25, 0.5
"""A word lasts no longer than this for each letter and once: slow speech takes 0.1 s a letter. Parakeet's last token
before missing words can end behind them, and would hide that they are missing."""

SLOW_LETTER_SECONDS = 0.1
"""What a letter takes in slow speech."""
EARLY_END_SECONDS = 0.4
"""Engines hear the ends of words up to so much too early."""


class TimedWord(NamedTuple):
    """A word and the tokens it is made of."""

    word: PlainWord
    tokens: tuple[Token, ...]

    @property
    def cover(self) -> Span:
        """Its time, limited to how long it can have taken to say it."""
        start, letters = self.word.start, len(self.word.text)
        return Span(start, min(self.word.end, start + LETTER_SECONDS * letters + WORD_SECONDS))

    @property
    def latest_end(self) -> float:
        """When it may have ended: as in slow speech, but no later than an end can be that is heard too early. Behind a
        long word that was said fast, as in "remembered Thomas", another one would fit."""
        letters = sum(letter.isalnum() for letter in self.word.text)
        return min(self.word.start + SLOW_LETTER_SECONDS * letters, self.cover.end + EARLY_END_SECONDS)


def timed_words(tokens: Iterable[Token]) -> list[TimedWord]:
    """Tokens in time order -> words."""
    return [TimedWord(word, tuple(group)) for group in by_word(tokens) if (word := word_of(group)) is not None]


SPEECH_PAUSE_SECONDS = 0.5
"""Shorter pauses between words count as speech."""


class Loudness(NamedTuple):
    """How loud a stretch of audio is where it is quiet and where it is loud, in dB below full scale."""

    floor: float
    loud: float

    @classmethod
    def of(cls, level: Levels) -> Loudness:
        """The 10th and the 95th percentile of the levels, of which there is at least one."""
        floor, loud = np.percentile(level, (10, 95))
        return cls(float(floor), float(loud))

    @property
    def sounding_db(self) -> float:
        """From which level on frames may be speech."""
        has_floor = self.loud - self.floor >= CONTRAST_DB
        return max(FAINT_DB, self.floor + ABOVE_FLOOR_DB) if has_floor else AUDIBLE_DB


ABOVE_FLOOR_DB = 6.0
"""Frames so much above the noise floor may be speech."""
CONTRAST_DB = 12.0
"""Where quiet and loud differ by less, the floor may be speech itself."""
FAINT_DB, AUDIBLE_DB = -70.0, -50.0
"""Nothing below the first is speech, however quiet its surroundings; from the second on it may be, however loud."""


def sounding_seconds(level: Levels, around: Loudness) -> float:
    """How long a stretch may hold speech, by its levels and those of its surroundings."""
    return int(np.count_nonzero(level >= around.sounding_db)) / FRAMES_PER_SECOND


LOW_CONFIDENCE = 0.5
"""Words below this confidence are suspect. Tiny Parakeet is above it for all 2,779 words of the long recordings."""
ISOLATED_PAUSE_SECONDS = 1.0
MAX_ISOLATED_WORDS = 3
"""So few words with nothing for so long on both sides are suspect."""
MIN_WORDS_PER_SECOND = 0.5
"""In a chunk with fewer words to the second of sound, all are suspect: speech has two to four."""


def isolated_words(words: Sequence[TimedWord], covers: Sequence[Span], around: Iterable[Span]) -> list[TimedWord]:
    """The words that stand alone or in short groups, far from each other and from what neighbouring chunks hold.

    `covers`: of each word; `around`: of the neighbours' words.
    """
    others = list(around)
    groups: list[list[TimedWord]] = []
    reaches: list[Span] = []
    until = -math.inf
    for timed, cover in zip(words, covers, strict=True):
        if cover.start - until < ISOLATED_PAUSE_SECONDS:
            groups[-1].append(timed)
            reaches[-1] = Span(reaches[-1].start, cover.end)
        else:
            groups.append([timed])
            reaches.append(cover)
        until = cover.end
    alone: list[TimedWord] = []
    for group, span in zip(groups, reaches, strict=True):
        if len(group) <= MAX_ISOLATED_WORDS:
            reach = span.grown(ISOLATED_PAUSE_SECONDS)
            if not any(reach.common(other).seconds > 0 for other in others):
                alone.extend(group)
    return alone
