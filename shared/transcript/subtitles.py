"""Words -> cues of subtitle grade: where to break them, how to lay out their lines, how long to show them.

Breaking is a shortest path: a cue costs more where it ends in mid-phrase, swallows a sentence end, flashes by, asks to
be read too fast or stands nearly empty, and the cheapest sequence of cues wins. Short neighbours merge by themselves.

Where the rules conflict, the earlier one holds:
1. no word is lost, cues are chronological and never overlap, and no cue mixes speakers;
2. at most two lines of `line_chars`, for at most `max_ms`;
3. at least `floor_ms` on screen: the next cue starts late rather than let this one flash by;
4. a cue starts with its first word;
5. at least `min_ms`, then time enough to read it: both take silence that follows, never the next cue's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from math import inf
from typing import NamedTuple

from shared.transcript.model import Word
from shared.transcript.sentences import ends_with_terminal
from shared.transcript.timestamps import milliseconds


@dataclass(frozen=True)
class SubtitleRules:
    """The limits of one cue. Times are in milliseconds, lengths in characters."""

    line_chars: int = 42
    min_ms: int = 1000
    max_ms: int = 7000
    floor_ms: int = 500
    pause_ms: int = 1000
    """A pause this long always ends a cue. Not under `min_ms`, so that the pause leaves room to show the cue."""
    chars_per_second: float = 17.0
    """How fast viewers read."""


@dataclass(frozen=True)
class Cue:
    """One or two lines of text, shown from `start_ms` until `end_ms`."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: int | None = None


CLAUSE_ENDS = (",", ";", ":", "\u2014", "\u2013", "\u2026", "\u3001", "\uff0c")

# Costs of a cue, on one scale: a nearly empty cue costs 1. A flash outweighs any bad break, because a reader misses it.
_MID_PHRASE = 3.0
_CLAUSE_END = 1.0
_INNER_SENTENCE_END = 0.75
_FLASH = 10.0
_HURRIED_SECOND = 1.0
_BREATH_MS = 300
"""A pause this long is as good a place to break as a comma."""

_PUNCTUATION_BONUS = 8
"""Characters of imbalance that a line break after punctuation is worth."""


class _Piece(NamedTuple):
    """A word, or a part of one that is too long for a line. Times in milliseconds."""

    text: str
    start: int
    end: int
    speaker: int | None


class _Break(NamedTuple):
    """The place after a piece: what it costs to end a cue there, or to go on over it inside one."""

    cost: float
    inside: float = 0.0
    forced: bool = False


def cues(words: Sequence[Word], rules: SubtitleRules | None = None) -> tuple[Cue, ...]:
    """Words in time order -> cues in time order. Takes time linear in the number of words."""
    rules = rules or SubtitleRules()
    pieces = [piece for word in words for piece in _pieces(word, rules.line_chars)]
    groups = [pieces[first:after] for first, after in _layout(pieces, rules)]
    return tuple(_timed(groups, rules))


def _pieces(word: Word, width: int) -> Iterator[_Piece]:
    """Whitespace inside a word, line breaks included, separates pieces; time is shared out by characters."""
    texts = [part[at : at + width] for part in word.text.split() for at in range(0, len(part), width)]
    start, end = milliseconds(word.start), milliseconds(word.end)
    edges = [0, *accumulate(map(len, texts))]
    for text, (before, after) in zip(texts, pairwise(edges), strict=True):
        yield _Piece(
            text,
            start + (end - start) * before // edges[-1],
            start + (end - start) * after // edges[-1],
            word.speaker,
        )


def _layout(pieces: Sequence[_Piece], rules: SubtitleRules) -> list[tuple[int, int]]:
    """The cheapest way to cut pieces into cues, as half-open ranges of pieces."""
    cheapest = [0.0] + [inf] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    breaks = [
        *(_break_after(piece, following, rules) for piece, following in pairwise(pieces)),
        _Break(0.0, forced=True),
    ]
    for first in range(len(pieces)):
        for after, cost in _candidates(pieces, breaks, first, rules):
            if cheapest[first] + cost < cheapest[after]:
                cheapest[after] = cheapest[first] + cost
                begins[after] = first
    ranges = []
    after = len(pieces)
    while after:
        ranges.append((begins[after], after))
        after = begins[after]
    return ranges[::-1]


def _break_after(piece: _Piece, following: _Piece, rules: SubtitleRules) -> _Break:
    pause_ms = following.start - piece.end
    if following.speaker != piece.speaker or pause_ms >= rules.pause_ms:
        return _Break(0.0, forced=True)
    if ends_with_terminal(piece.text):
        return _Break(0.0, inside=_INNER_SENTENCE_END)
    return _Break(_CLAUSE_END if piece.text.endswith(CLAUSE_ENDS) or pause_ms >= _BREATH_MS else _MID_PHRASE)


def _candidates(
    pieces: Sequence[_Piece], breaks: Sequence[_Break], first: int, rules: SubtitleRules
) -> Iterator[tuple[int, float]]:
    """Every cue that may start with piece `first`: where the next one would start, and what this one costs."""
    begin = pieces[first].start
    capacity = 2 * rules.line_chars
    characters = row = -1
    rows = 1
    inside = 0.0
    for last in range(first, len(pieces)):
        piece = pieces[last]
        if last > first and piece.end - begin > rules.max_ms:
            return
        length = len(piece.text) + 1
        row += length
        if row > rules.line_chars:
            if rows == 2:
                return
            rows, row = 2, length - 1
        characters += length
        following = pieces[last + 1].start if last + 1 < len(pieces) else inf
        shown_ms = min(following - begin, rules.max_ms)
        reading_ms = 1000 * characters / rules.chars_per_second
        cost = (1 - characters / capacity) ** 2 + breaks[last].cost + inside
        if shown_ms < rules.min_ms:
            cost += _FLASH * (1 - shown_ms / rules.min_ms)
        if shown_ms < reading_ms:
            cost += _HURRIED_SECOND * (reading_ms - shown_ms) / 1000
        yield last + 1, cost
        if breaks[last].forced:
            return
        inside += breaks[last].inside


def _timed(groups: Sequence[Sequence[_Piece]], rules: SubtitleRules) -> Iterator[Cue]:
    earliest = 0
    for group, following in zip_longest(groups, groups[1:]):
        start = max(earliest, group[0].start)
        earliest = start + rules.floor_ms
        limit = max(earliest, following[0].start) if following else inf
        lines = _lines([piece.text for piece in group], rules.line_chars)
        reading_ms = round(1000 * sum(map(len, lines)) / rules.chars_per_second)
        wanted = max(group[-1].end, start + rules.min_ms, start + reading_ms)
        yield Cue(start, int(min(wanted, start + rules.max_ms, limit)), lines, group[0].speaker)


def _lines(texts: Sequence[str], width: int) -> tuple[str, ...]:
    """One line where it fits, else two of similar length, broken after punctuation where that is near the middle."""
    whole = " ".join(texts)
    if len(whole) <= width:
        return (whole,)
    ends = list(accumulate((len(text) + 1 for text in texts), initial=-1))[1:-1]

    def badness(index: int) -> tuple[bool, int]:
        top, bottom = ends[index], len(whole) - ends[index] - 1
        at_punctuation = ends_with_terminal(texts[index]) or texts[index].endswith(CLAUSE_ENDS)
        return max(top, bottom) > width, abs(top - bottom) - _PUNCTUATION_BONUS * at_punctuation

    end = ends[min(range(len(ends)), key=badness)]
    return whole[:end], whole[end + 1 :]
