"""A transcript -> subtitles (cues): where to break them, how to lay out their lines, how long to show them.

Breaking is a shortest path: a cue costs more where it ends in mid-phrase, swallows a sentence end, flashes by, asks to
be read too fast or stands nearly empty, and the cheapest sequence of cues wins. Short neighbours merge by themselves.
People who talk at once stand in one cue, a dash before each ("dual speakers" of Netflix's and the BBC's guides): to cut
a cue while somebody else's word sounds costs as much as a flash.

Where the rules conflict, the earlier one holds:
1. no word is lost, cues follow one another and never overlap;
2. a cue starts at most 0.5 s before or after its first word, and ends at most 0.5 s after its last one;
3. at most `lines` lines of `columns`, or a line for each of more people at once, for at most `max_ms`;
4. at least 0.5 s on screen: the next cue starts late rather than let this one flash by;
5. a cue starts with its first word;
6. at least `min_ms`, then time enough to read it: both take silence around it, never another cue's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.model import Transcript
from shared.transcript.subtitles.lines import lay_out, rows_after
from shared.transcript.subtitles.pieces import Piece, pieces


@dataclass(frozen=True)
class Turn:
    """What one speaker says in a cue, line by line."""

    speaker: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Cue:
    """Text shown from `start_ms` until `end_ms`: of one speaker, or of several who talk at once."""

    start_ms: int
    end_ms: int
    turns: tuple[Turn, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines as they are shown."""
        return tuple(line for turn in self.turns for line in turn.lines)


LINGER_MS = 500
"""How long a cue may stay after its last word: 12 frames (Netflix, timing to audio); BBC: 1.5 s."""
LATE_MS = 500
"""How late a cue may start, to let the one before be seen."""
EARLY_MS = 500
"""How early a cue may start, where its words alone are shorter than `min_ms`; BBC: 1.5 s."""
FLOOR_MS = 500
"""Shortest time on screen, but where more is said at once than cues can hold."""
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


class _Break(NamedTuple):
    """The place after a piece: what it costs to end a cue there, or to go on over it inside one."""

    cost: float
    inside: float = 0.0
    forced: bool = False


def cues(transcript: Transcript, rules: SubtitleRules | None = None) -> tuple[Cue, ...]:
    """The subtitles, in time order. Takes time linear in the number of words."""
    rules = rules or SubtitleRules.of(transcript.language)
    # A word as long as a line leaves no room for the dash, where it may stand beside what another one says.
    speakers = set(transcript.words.speakers)
    all_pieces = pieces(transcript, _share(rules, len(speakers))[0], PAUSE_MS)
    groups = [all_pieces[first:after] for first, after in _layout(all_pieces, rules)]
    return tuple(_timed(groups, rules))


def _layout(pieces: Sequence[Piece], rules: SubtitleRules) -> list[tuple[int, int]]:
    """The cheapest way to cut pieces into cues, as half-open ranges of pieces."""
    cheapest = [0.0] + [inf] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    breaks = _breaks(pieces)
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


def _breaks(pieces: Sequence[Piece]) -> list[_Break]:
    """The place after each piece."""
    next_of_speaker: list[Piece | None] = [None] * len(pieces)
    seen: dict[int | None, Piece] = {}
    for index in reversed(range(len(pieces))):
        next_of_speaker[index] = seen.get(pieces[index].speaker)
        seen[pieces[index].speaker] = pieces[index]
    breaks = []
    cut_costs: dict[int | None, float] = {}
    """Of each speaker: what it costs to cut off what follows the latest piece."""
    latest: dict[int | None, Piece] = {}
    ends: dict[int | None, int] = {}
    for index, (piece, own) in enumerate(zip(pieces, next_of_speaker, strict=True)):
        cut_costs[piece.speaker] = _cut_cost(piece, own) if own else 0.0
        latest[piece.speaker] = piece
        ends[piece.speaker] = max(piece.end, ends.get(piece.speaker, 0))
        if index + 1 == len(pieces):
            breaks.append(_Break(0.0, forced=True))
            break
        following = pieces[index + 1]
        if following.start - max(ends.values()) >= PAUSE_MS:
            breaks.append(_Break(0.0, forced=True))
            continue
        others = (end for speaker, end in ends.items() if speaker != following.speaker)
        overlap_ms = max(0, max(others, default=0) - following.start)
        inside, before = 0.0, latest.get(following.speaker)
        if before and before.ends_sentence:
            inside += _INNER_SENTENCE_END
        if piece.speaker != following.speaker and not cut_costs.get(following.speaker):
            inside += _TURN * max(0.0, 1 - overlap_ms / _TURN_OVERLAP_MS)
        cost = sum(cut_costs.values()) + _OVERLAP * min(1.0, overlap_ms / _FULL_OVERLAP_MS)
        breaks.append(_Break(cost, inside))
    return breaks


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
        columns, lines = _share(self._rules, len(self._spoken))
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


def _share(rules: SubtitleRules, speakers: int) -> tuple[int, int]:
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


def _timed(groups: Sequence[Sequence[Piece]], rules: SubtitleRules) -> Iterator[Cue]:
    spans = [(group[0].start, max(piece.end for piece in group)) for group in groups]
    # A cue makes room for the next ones where these may not wait: of words said at once that have no length.
    latest = [min(first + LATE_MS, last) for first, last in spans]
    for index in reversed(range(len(latest) - 1)):
        latest[index] = min(latest[index], latest[index + 1] - 1)
    starts: list[int] = []
    for (first, _), limit_ms in zip(spans, latest, strict=True):
        earliest = starts[-1] + FLOOR_MS if starts else 0
        start = max(0, min(max(first, earliest), limit_ms))
        starts.append(max(start, starts[-1] + 1) if starts else start)
    free, order = 0, list[int | None]()
    for index, (group, (first, last)) in enumerate(zip(groups, spans, strict=True)):
        start = starts[index]
        characters = sum(piece.is_spaced + piece.characters for piece in group) - group[0].is_spaced
        reading_ms = round(1000 * characters / rules.chars_per_second)
        wanted = max(last, min(last + LINGER_MS, start + max(rules.min_ms, reading_ms)))
        limit = starts[index + 1] if index + 1 < len(starts) else inf
        end = int(max(start + 1, min(wanted, start + rules.max_ms, limit)))
        if start == first:
            start = max(min(start, end - rules.min_ms), first - EARLY_MS, free)
        free = end
        turns = _turns(group, rules, order)
        order = [turn.speaker for turn in turns]
        yield Cue(start, end, turns)


def _turns(group: Sequence[Piece], rules: SubtitleRules, before: Sequence[int | None]) -> tuple[Turn, ...]:
    """The pieces of a cue by speaker, in the order in which they begin, or in that of the cue before, so that nobody
    changes lines in mid-sentence. `before`: the speakers of that cue."""
    by_speaker: dict[int | None, list[Piece]] = {}
    for piece in group:
        by_speaker.setdefault(piece.speaker, []).append(piece)
    columns, _ = _share(rules, len(by_speaker))
    order = sorted(by_speaker, key=before.index) if by_speaker.keys() <= set(before) else list(by_speaker)
    lines = [lay_out(by_speaker[speaker], columns) for speaker in order]
    if len(order) > 1:
        lines = [(DASH + first, *others) for first, *others in lines]
    return tuple(Turn(speaker, said) for speaker, said in zip(order, lines, strict=True))
