"""Where two transcripts of one recording differ: words changed, inserted and deleted, with their times."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from shared.transcript.model import Word


class Change(StrEnum):
    """What became of some words."""

    CHANGED = "changed"
    INSERTED = "inserted"
    DELETED = "deleted"


_CHANGES = {"replace": Change.CHANGED, "insert": Change.INSERTED, "delete": Change.DELETED}


@dataclass(frozen=True)
class WordChange:
    """A place at which two transcripts differ."""

    change: Change
    before: tuple[Word, ...]
    after: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Seconds into the recording."""
        return min(word.start for word in (*self.before, *self.after))


@dataclass(frozen=True)
class WordDiff:
    """All of them, in the order of time."""

    words_before: int
    changes: tuple[WordChange, ...]

    @property
    def counts(self) -> dict[Change, int]:
        """How many words were changed into others, inserted and deleted: of three that became two, two were changed and
        one was deleted."""
        counts = dict.fromkeys(Change, 0)
        for one in self.changes:
            common = min(len(one.before), len(one.after))
            counts[Change.CHANGED] += common
            counts[Change.INSERTED] += len(one.after) - common
            counts[Change.DELETED] += len(one.before) - common
        return counts

    @property
    def rate(self) -> float | None:
        """Share of the words before that differ, as a word error rate counts them; None where there were none."""
        return sum(self.counts.values()) / self.words_before if self.words_before else None


def word_diff(before: Sequence[Word], after: Sequence[Word]) -> WordDiff:
    """Compare two transcripts, regardless of case and punctuation.

    difflib's alignment is not always the shortest, so the rate may be a little above the word error rate.
    """
    left, right = [_plain(word.text) for word in before], [_plain(word.text) for word in after]
    changes = tuple(
        WordChange(_CHANGES[tag], tuple(before[i:j]), tuple(after[k:m]))
        for tag, i, j, k, m in SequenceMatcher(None, left, right).get_opcodes()
        if tag in _CHANGES
    )
    return WordDiff(len(before), changes)


def _plain(word: str) -> str:
    """Without case and punctuation; a word of punctuation alone stays as it is."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "PS") or folded
