"""Merge the tokens of overlapping chunks: where the first one's end and the second one's begin. Pure.

Tokens are matched by their text, in order, where their times are close. The seam lies where both sides are between
words, and contradicts no match: so it invents no word, joins no halves of two words, and doubles no word that was
matched. Of all such places it takes the one that keeps most words, and of equals the one nearest to the middle, where
both chunks have context. Times decide only where tokens have no match.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from gpu_job.asr.tokens import Token

TOLERANCE_SECONDS = 0.25
"""Tokens of the same text that start this close may be the same: three frames of 80 ms. 0.16 to 0.4 s gave the same
errors at 460 joins, and a word said twice starts again after some 0.2 s."""

Pair = tuple[int, int]
"""A place in the left tokens and one in the right: of two matching tokens, or of a seam before these two."""


class ChunkTokens(NamedTuple):
    """The tokens of one chunk. Times in seconds on the upload's clock."""

    start: float
    end: float
    tokens: Sequence[Token]


def kept_slices(chunks: Sequence[ChunkTokens], tolerance: float = TOLERANCE_SECONDS) -> list[slice]:
    """Chunks in time order, each of which may overlap the next -> which of their tokens make up the text.

    Words are made of each chunk's slice alone. Their starts run backwards at a seam by `tolerance` at most.
    """
    firsts, ends = [0] * len(chunks), [len(each.tokens) for each in chunks]
    for index, (left, right) in enumerate(pairwise(chunks)):
        if right.start < left.end:
            both = tuple(left.tokens), tuple(right.tokens)  # packed ones would be unpacked at every look
            ends[index], firsts[index + 1] = seam(*both, right.start, left.end, tolerance)
    return [slice(first, max(first, end)) for first, end in zip(firsts, ends, strict=True)]


def seam(
    left: Sequence[Token],
    right: Sequence[Token],
    start: float,
    end: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> Pair:
    """Tokens of two chunks that share the audio from `start` to `end` -> how many of `left` stay, and from which of
    `right` on. Every token outside the overlap stays."""
    first = next((index for index, token in enumerate(left) if token.end > start), len(left))
    last = next((index for index, token in enumerate(right) if token.start >= end), len(right))
    matches = _matches(left, right, range(first, len(left)), range(last), tolerance)
    places = [
        (keep, begin)
        for keep in _between_words(left, first, len(left))
        for begin in _between_words(right, 0, last)
        if _in_order(keep, begin, matches) and (_at_match(keep, begin, matches) or _on_time(left, right, keep, begin))
    ]
    middle = (start + end) / 2

    def worth(place: Pair) -> tuple[int, float]:
        keep, begin = place
        words = sum(token.begins_word for token in (*left[first:keep], *right[begin:last]))
        return words, -abs(_time(left, right, keep, begin) - middle)

    # Without any such place, times contradict themselves; then everything stays.
    return max(places, key=worth, default=(len(left), 0))


def _matches(
    left: Sequence[Token], right: Sequence[Token], lefts: range, rights: range, tolerance: float
) -> list[Pair]:
    """The pairs of tokens, in order on both sides, that are the same: as many and as simultaneous as can be."""
    best: dict[Pair, tuple[float, list[Pair]]] = {}

    def of(i: int, j: int) -> tuple[float, list[Pair]]:
        return best.get((i, j), (0.0, []))

    for i in reversed(lefts):
        for j in reversed(rights):
            candidates = [of(i + 1, j), of(i, j + 1)]
            apart = abs(left[i].start - right[j].start)
            if left[i].text == right[j].text and apart <= tolerance:
                weight, behind = of(i + 1, j + 1)
                candidates.append((weight + 1.01 - apart / tolerance, [(i, j), *behind]))
            best[i, j] = max(candidates, key=lambda chain: chain[0])
    return of(lefts.start, rights.start)[1]


def _between_words(tokens: Sequence[Token], first: int, last: int) -> list[int]:
    """Places in [first, last] before which one word ends and at which another begins."""
    return [at for at in range(first, last + 1) if at in (0, len(tokens)) or tokens[at].begins_word]


def _in_order(keep: int, begin: int, matches: Sequence[Pair]) -> bool:
    """Whether every matched token is kept exactly once."""
    return all((i < keep) == (j < begin) for i, j in matches)


def _at_match(keep: int, begin: int, matches: Sequence[Pair]) -> bool:
    return (keep, begin) in matches or (keep - 1, begin - 1) in matches


def _on_time(left: Sequence[Token], right: Sequence[Token], keep: int, begin: int) -> bool:
    """Whether the words at the seam follow one another: neither reaches to the other's middle."""
    if keep == 0 or begin == len(right):
        return True
    before, after = left[keep - 1], right[begin]
    return (before.start + before.end) / 2 <= after.start and before.end <= (after.start + after.end) / 2


def _time(left: Sequence[Token], right: Sequence[Token], keep: int, begin: int) -> float:
    times = [left[keep - 1].end] if keep else []
    times += [right[begin].start] if begin < len(right) else []
    return sum(times) / len(times) if times else 0.0
