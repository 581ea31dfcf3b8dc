"""What was heard against what was said: the words, and when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import kaldialign

from infra.recordings import Recording
from tests.support.user_client import Message

GAP = "*"
NEAR_SECONDS = 1.0
"""How far from a join a word still counts as being at it."""


@dataclass(frozen=True)
class AlignedWord:
    """One place of an alignment: a true word, a heard word, or both, with its start in seconds."""

    said: str | None
    recognized: str | None
    start: float
    """Of the true word, where there is one."""
    off: float | None = None
    """How much later the heard word starts, where both are the same."""


def plain(word: str) -> str:
    """A word without capitals and punctuation."""
    return re.sub(r"[^a-z0-9']", "", word.lower())


def all_plain(words: Iterable[str]) -> list[str]:
    """Words without capitals and punctuation."""
    return [plain(word) for word in words]


def align_words(truth: Recording, words: list[Message]) -> list[AlignedWord]:
    """The true words of a recording beside the words of a transcript."""
    said, recognized = [plain(word.word) for word in truth.words], [plain(word["text"]) for word in words]
    steps, i, j = [], 0, 0
    for left, right in kaldialign.align(said, recognized, GAP):
        start = truth.words[i].start if left != GAP else float(words[j]["start"])
        off = float(words[j]["start"]) - start if left == right else None
        steps.append(AlignedWord(None if left == GAP else left, None if right == GAP else right, start, off))
        i, j = i + (left != GAP), j + (right != GAP)
    return steps


def word_error_rate(steps: list[AlignedWord]) -> float:
    """Word error rate."""
    return sum(step.said != step.recognized for step in steps) / sum(step.said is not None for step in steps)


def check_times(transcript: Message) -> None:
    """Word times never run backwards and lie inside the audio."""
    words = transcript["words"]
    assert all(word["start"] <= word["end"] for word in words)
    assert all(before["start"] <= after["start"] for before, after in pairwise(words))
    assert words[-1]["end"] <= transcript["duration"]


def at_joins(steps: list[AlignedWord], places: list[float]) -> list[AlignedWord]:
    """Words lost or made up next to a join."""
    near = (step for step in steps if any(abs(step.start - place) <= NEAR_SECONDS for place in places))
    return [step for step in near if step.said is None or step.recognized is None]
