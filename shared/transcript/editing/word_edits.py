"""Replacing words by other words, in the time of those they replace. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from shared.transcript.model import Passage, Word


@dataclass(frozen=True)
class WordEdit:
    """`words[first:last + 1]` become these texts; without any they are left out."""

    first: int
    last: int
    texts: tuple[str, ...]


WordEditor = Callable[[Sequence[Word]], Iterable[WordEdit]]
"""Words of one speaker in time order, whatever engine wrote them and however long they pause -> what is to be changed:
edits in the order of their words, of which no two touch the same word."""


class EditedWord(NamedTuple):
    """A word behind all edits, and the place of the first word that it is made of."""

    word: Word
    origin: int


def apply_edits(words: Sequence[Word], edits: Iterable[WordEdit]) -> list[EditedWord]:
    """The words with edits in order. Raises ValueError for edits that overlap, run backwards or name other words.

    What replaces a stretch lies in its time: as many words as before have their times, others share it by their
    lengths. Each has the least confidence of the stretch, none where a word of it has none, and the first word's
    speaker and language.
    """
    edited: list[EditedWord] = []
    done = 0
    for edit in edits:
        if not done <= edit.first <= edit.last < len(words):
            raise ValueError(f"an edit of words {edit.first} to {edit.last} of {len(words)}, behind word {done}")
        edited.extend(EditedWord(word, index) for index, word in enumerate(words[done : edit.first], done))
        stretch = words[edit.first : edit.last + 1]
        edited.extend(
            EditedWord(word, edit.first) for word in _replaced(stretch, [text for text in edit.texts if text])
        )
        done = edit.last + 1
    edited.extend(EditedWord(word, index) for index, word in enumerate(words[done:], done))
    return edited


def edit_passages(passages: Sequence[Passage], editors: Iterable[WordEditor]) -> list[Passage]:
    """Passages in time order, edited by one editor after the other, each of which sees what those before it wrote.

    An editor sees a speaker's words without what others say meanwhile, and an edit may reach over the border of
    passages: its words are then of the passage in which it begins.
    """
    for editor in editors:
        passages = _edited_once(passages, editor)
    return list(passages)


class _Placed(NamedTuple):
    clock: float
    """Its start; at a seam, where starts run back a little, that of the latest word before it."""
    origin: int
    passage: int
    word: Word


def _edited_once(passages: Sequence[Passage], editor: WordEditor) -> list[Passage]:
    words = [word for passage in passages for word in passage.words]
    numbers = [number for number, passage in enumerate(passages) for _ in passage.words]
    clocks = list(accumulate((word.start for word in words), max))
    places: dict[int | None, list[int]] = {}
    for place, word in enumerate(words):
        places.setdefault(word.speaker, []).append(place)
    placed: list[_Placed] = []
    changed = False
    for own in places.values():
        spoken = [words[place] for place in own]
        edits = list(editor(spoken))
        changed = changed or bool(edits)
        for word, origin in apply_edits(spoken, edits):
            place = own[origin]
            placed.append(_Placed(max(clocks[place], word.start), place, numbers[place], word))
    if not changed:
        return list(passages)
    placed.sort(key=lambda one: (one.clock, one.origin))
    return [
        replace(passages[number], words=[one.word for one in group])
        for number, group in groupby(placed, key=lambda one: one.passage)
    ]


def _replaced(stretch: Sequence[Word], texts: Sequence[str]) -> Iterator[Word]:
    known = [word.confidence for word in stretch if word.confidence is not None]
    confidence = min(known) if len(known) == len(stretch) else None
    for text, (start, end) in zip(texts, _times(stretch, texts), strict=True):
        yield replace(stretch[0], text=text, start=start, end=end, confidence=confidence)


def _times(stretch: Sequence[Word], texts: Sequence[str]) -> list[tuple[float, float]]:
    if len(texts) == len(stretch):
        return [(word.start, word.end) for word in stretch]
    begin = min(word.start for word in stretch)
    whole = max(word.end for word in stretch) - begin
    letters = [0, *accumulate(map(len, texts))]
    borders = [begin + whole * before / (letters[-1] or 1) for before in letters]
    return list(pairwise(borders))
