"""Words of a transcript replaced by what another hearing of the same stretch gave. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from gpu_job.asr.tokens import words_of
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.samples import seconds
from shared.enums import Engine
from shared.transcript.model import Passage, Word


class WrittenWord(NamedTuple):
    """A word, and the engine that wrote it."""

    word: Word
    engine: Engine


class WrittenWords:
    """All words of a transcript in time order. `is_split`: whether a word's speaker is its channel."""

    def __init__(self, passages: Iterable[Passage], *, is_split: bool) -> None:
        self._written = [WrittenWord(word, passage.engine) for passage in passages for word in passage.words]
        self._is_split = is_split

    def inside(self, other: HeardAgain) -> list[WrittenWord]:
        """Those of a stretch's channel whose middle lies in it."""
        return [self._written[at] for at in self._places(other)]

    def heard(self, other: HeardAgain) -> list[Word]:
        """The words that the other hearing gave for the stretch."""
        return [word for word in words_of(other.tokens, self._speaker(other)) if _is_inside(word, other)]

    def replace(self, other: HeardAgain, words: Sequence[Word]) -> None:
        """Put words, at least one, in the place of those inside a stretch."""
        gone = set(self._places(other))
        rest = [one for at, one in enumerate(self._written) if at not in gone]
        place = next((at for at, one in enumerate(rest) if one.word.start > words[0].start), len(rest))
        # Others of a split recording may speak meanwhile.
        both = [*rest[:place], *(WrittenWord(word, other.engine) for word in words), *rest[place:]]
        self._written = sorted(both, key=lambda one: one.word.start) if self._is_split else both

    def passages(self) -> list[Passage]:
        """As they are now."""
        by_engine = groupby(self._written, attrgetter("engine"))
        return [Passage(engine, [one.word for one in group]) for engine, group in by_engine]

    def _places(self, other: HeardAgain) -> list[int]:
        speaker = self._speaker(other)
        return [
            at for at, one in enumerate(self._written) if one.word.speaker == speaker and _is_inside(one.word, other)
        ]

    def _speaker(self, other: HeardAgain) -> int | None:
        return other.channel if self._is_split else None


def with_words_of(passages: Sequence[Passage], better: Iterable[HeardAgain], *, is_split: bool) -> list[Passage]:
    """Passages in time order -> the same with other words for some stretches; where nothing is written, as where the
    audit found that nobody speaks, nothing is put."""
    better = list(better)
    if not better:
        return list(passages)
    written = WrittenWords(passages, is_split=is_split)
    has_changed = False
    for other in better:
        if written.inside(other) and (words := written.heard(other)):
            written.replace(other, words)
            has_changed = True
    return written.passages() if has_changed else list(passages)


def _is_inside(word: Word, other: HeardAgain) -> bool:
    return seconds(other.first) <= (word.start + word.end) / 2 < seconds(other.end)
