"""Where pieces break into cues: a shortest path.

A cue costs more where it ends in mid-phrase, swallows a sentence end, flashes by, asks to be read too fast or stands
nearly empty, and the cheapest sequence of cues wins. Short neighbours merge by themselves. People who talk at once
stand in one cue: to cut a cue while somebody else's word sounds costs as much as a flash.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import NamedTuple

from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.subtitles.lines import rows_after
from shared.transcript.subtitles.pieces import Piece, with_next

PAUSE_MS = 1000
"""Silence this long always ends a cue: it leaves room to show this one and the next."""

DASH = "- "
_DASH_COLUMNS = len(DASH)

# Costs of a cue, on one scale: a nearly empty cue costs 1. A flash outweighs any bad break, because a reader misses it.
_MID_PHRASE = 3.0
_CLAUSE_END = 1.0
_INNER_SENTENCE_END = 0.75
_FLASH = 10.0
_HURRIED_SECOND = 1.0
_BREATH_MS = 300
"""A pause this long is as good a place to break as a comma."""
_OVERLAP = 10.0
_FULL_OVERLAP_MS = 500
"""A cue that ends while others' words sound for this long costs `_OVERLAP`; less overlap costs less."""
_TURN = 4.0
_TURN_OVERLAP_MS = 250
"""To share a cue costs people who talk one after the other `_TURN`; nothing where they overlap by this much."""
_EXTRA_LINE = 12.0

PIECES_AT_ONCE = 1_000
"""More than a cue holds, so that few are looked at twice."""


class _Break(NamedTuple):
    """The place after a piece: what it costs to end a cue there, or to go on over it inside one."""

    cost: float
    inside: float = 0.0
    forced: bool = False


def layout(pieces: Iterable[tuple[Piece, Piece | None]], rules: SubtitleRules) -> list[tuple[int, int]]:
    """The cheapest way to cut pieces, each given with its speaker's next one, into cues: half-open ranges of pieces.

    Only those are held that one cue may take."""
    cheapest, begins = array("d", [0.0]), array("q", [0])
    given, window, breaks = _breaks(pieces), list[Piece](), list[_Break]()
    first, is_over = 0, False
    while not is_over:
        more = list(islice(given, PIECES_AT_ONCE))
        is_over = not more
        window += [piece for piece, _ in more]
        breaks += [behind for _, behind in more]
        cheapest.extend([inf] * len(more))
        begins.extend([0] * len(more))
        # From here on a cue may reach over the last one of them.
        open_from = (place for place, piece in enumerate(window) if window[-1].end - piece.start <= rules.max_ms)
        known = len(window) if is_over else next(open_from, len(window) - 1)
        for place in range(known):
            for after, cost in _candidates(window, breaks, place, rules):
                if cheapest[first + place] + cost < cheapest[first + after]:
                    cheapest[first + after] = cheapest[first + place] + cost
                    begins[first + after] = first + place
        del window[:known], breaks[:known]
        first += known
    ranges = []
    after = first
    while after:
        ranges.append((begins[after], after))
        after = begins[after]
    return ranges[::-1]


def _breaks(pieces: Iterable[tuple[Piece, Piece | None]]) -> Iterator[tuple[Piece, _Break]]:
    """Each piece and the place after it."""
    cut_costs: dict[int | None, float] = {}
    """Of each speaker: what it costs to cut off what follows the latest piece."""
    latest: dict[int | None, Piece] = {}
    ends: dict[int | None, int] = {}
    for (piece, own), behind in with_next(pieces):
        cut_costs[piece.speaker] = _cut_cost(piece, own) if own else 0.0
        latest[piece.speaker] = piece
        ends[piece.speaker] = max(piece.end, ends.get(piece.speaker, 0))
        following = behind and behind[0]
        if following is None or following.start - max(ends.values()) >= PAUSE_MS:
            yield piece, _Break(0.0, forced=True)
            continue
        others = (end for speaker, end in ends.items() if speaker != following.speaker)
        overlap_ms = max(0, max(others, default=0) - following.start)
        inside, before = 0.0, latest.get(following.speaker)
        if before and before.ends_sentence:
            inside += _INNER_SENTENCE_END
        if piece.speaker != following.speaker and not cut_costs.get(following.speaker):
            inside += _TURN * max(0.0, 1 - overlap_ms / _TURN_OVERLAP_MS)
        cost = sum(cut_costs.values()) + _OVERLAP * min(1.0, overlap_ms / _FULL_OVERLAP_MS)
        yield piece, _Break(cost, inside)


def _cut_cost(piece: Piece, following: Piece) -> float:
    """What it costs to cut between two pieces of a speaker."""
    pause_ms = following.start - piece.end
    if piece.ends_sentence or pause_ms >= PAUSE_MS:
        return 0.0
    return _CLAUSE_END if piece.ends_clause or pause_ms >= _BREATH_MS else _MID_PHRASE


class _Rows:
    """The rows that a growing cue of several speakers takes."""

    def __init__(self, rules: SubtitleRules, pieces: Iterable[Piece]) -> None:
        self._rules = rules
        self._spoken: dict[int | None, list[Piece]] = {}
        self._filled: dict[int | None, tuple[int, int]] = {}
        self.fits = all(self.add(piece) for piece in pieces)
        """Whether these pieces do."""

    @property
    def extra_lines(self) -> int:
        """Speakers that have no line by the rules."""
        return max(0, len(self._spoken) - self._rules.lines)

    def add(self, piece: Piece) -> bool:
        """Add a piece; whether its speaker's rows, or with a new speaker everybody's, still fit."""
        spoken = self._spoken.setdefault(piece.speaker, [])
        spoken.append(piece)
        columns, lines = share(self._rules, len(self._spoken))
        if len(spoken) > 1:
            filled = self._filled[piece.speaker] = rows_after(*self._filled[piece.speaker], piece, columns)
            return filled[0] <= lines
        # Each speaker has fewer and shorter lines than before.
        for speaker, said in self._spoken.items():
            row = taken = 0
            for each in said:
                row, taken = rows_after(row, taken, each, columns)
            self._filled[speaker] = row, taken
        return all(row <= lines for row, _ in self._filled.values())


def share(rules: SubtitleRules, speakers: int) -> tuple[int, int]:
    """Columns and lines of each of so many speakers in a cue."""
    if speakers <= 1:
        return rules.columns, rules.lines
    return rules.columns - _DASH_COLUMNS, max(1, rules.lines // speakers)


def _candidates(
    pieces: Sequence[Piece], breaks: Sequence[_Break], first: int, rules: SubtitleRules
) -> Iterator[tuple[int, float]]:
    """Every cue that may start with piece `first`: where the next one would start, and what this one costs."""
    begin, alone = pieces[first].start, pieces[first].speaker
    line_columns, lines = rules.columns, rules.lines
    # Looked up once: every piece is in a dozen candidates, and this is most of what subtitles take.
    min_ms, max_ms, chars_per_second = rules.min_ms, rules.max_ms, rules.chars_per_second
    capacity = lines * line_columns
    # The space before the first piece is not shown.
    columns = characters = -int(pieces[first].is_spaced)
    inside = 0.0
    # Rows of the one speaker, counted here: nearly all cues have one.
    row = taken = 0
    rows: _Rows | None = None
    count = len(pieces)
    for last in range(first, count):
        piece = pieces[last]
        _, _, end, speaker, is_spaced, _, wide, read = piece
        if last > first and end - begin > max_ms:
            return
        if rows is not None:
            if not rows.add(piece):
                return
        elif speaker == alone:
            together = taken + is_spaced + wide
            if row and together <= line_columns:
                taken = together
            else:
                row += 1
                if row > lines:
                    return
                taken = wide
        else:
            rows = _Rows(rules, pieces[first : last + 1])
            if not rows.fits:
                return
        columns += is_spaced + wide
        characters += is_spaced + read
        shown_ms: float = max_ms
        if last + 1 < count and (until_next := pieces[last + 1].start - begin) < max_ms:
            shown_ms = until_next
        reading_ms = 1000 * characters / chars_per_second
        break_cost, break_inside, forced = breaks[last]
        cost = (1 - columns / capacity) ** 2 + break_cost + inside
        if rows is not None:
            cost += _EXTRA_LINE * rows.extra_lines
        if shown_ms < min_ms:
            cost += _FLASH * (1 - shown_ms / min_ms)
        if shown_ms < reading_ms:
            cost += _HURRIED_SECOND * (reading_ms - shown_ms) / 1000
        yield last + 1, cost
        if forced:
            return
        inside += break_inside
