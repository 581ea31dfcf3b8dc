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
from itertools import islice
from math import inf
from typing import NamedTuple

from shared.options.subtitle_rules import SubtitleRules
from shared.transcript.model import Transcript
from shared.transcript.subtitles.breaking import DASH, PAUSE_MS, layout, share
from shared.transcript.subtitles.lines import lay_out
from shared.transcript.subtitles.pieces import Piece, pieces


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says in a cue, line by line."""

    speaker: int | None
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
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


def cues(transcript: Transcript, rules: SubtitleRules | None = None) -> tuple[Cue, ...]:
    """The subtitles, in time order. Takes time linear in the number of words."""
    rules = rules or SubtitleRules.of(transcript.language)
    # A word as long as a line leaves no room for the dash, where it may stand beside what another one says.
    columns, _ = share(rules, len(set(transcript.words.speakers)))
    ranges = layout(pieces(transcript, columns, PAUSE_MS), rules)
    # Made once more: all at once are larger than all else of a long transcript.
    again = pieces(transcript, columns, PAUSE_MS)
    groups = ([piece for piece, _ in islice(again, after - first)] for first, after in ranges)
    return tuple(_timed(list(_laid_out(groups, rules)), rules))


class _LaidOut(NamedTuple):
    """A cue that is not timed: its words' first start and last end in milliseconds, and what it shows."""

    first: int
    last: int
    characters: int
    turns: tuple[Turn, ...]


def _laid_out(groups: Iterable[Sequence[Piece]], rules: SubtitleRules) -> Iterator[_LaidOut]:
    order: list[int | None] = []
    for group in groups:
        characters = sum(piece.is_spaced + piece.characters for piece in group) - group[0].is_spaced
        turns = _turns(group, rules, order)
        order = [turn.speaker for turn in turns]
        yield _LaidOut(group[0].start, max(piece.end for piece in group), characters, turns)


def _timed(cues: Sequence[_LaidOut], rules: SubtitleRules) -> Iterator[Cue]:
    # A cue makes room for the next ones where these may not wait: of words said at once that have no length.
    latest = [min(cue.first + LATE_MS, cue.last) for cue in cues]
    for index in reversed(range(len(latest) - 1)):
        latest[index] = min(latest[index], latest[index + 1] - 1)
    starts: list[int] = []
    for cue, limit_ms in zip(cues, latest, strict=True):
        earliest = starts[-1] + FLOOR_MS if starts else 0
        start = max(0, min(max(cue.first, earliest), limit_ms))
        starts.append(max(start, starts[-1] + 1) if starts else start)
    free = 0
    for index, (first, last, characters, turns) in enumerate(cues):
        start = starts[index]
        reading_ms = round(1000 * characters / rules.chars_per_second)
        wanted = max(last, min(last + LINGER_MS, start + max(rules.min_ms, reading_ms)))
        limit = starts[index + 1] if index + 1 < len(starts) else inf
        end = int(max(start + 1, min(wanted, start + rules.max_ms, limit)))
        if start == first:
            start = max(min(start, end - rules.min_ms), first - EARLY_MS, free)
        free = end
        yield Cue(start, end, turns)


def _turns(group: Sequence[Piece], rules: SubtitleRules, before: Sequence[int | None]) -> tuple[Turn, ...]:
    """The pieces of a cue by speaker, in the order in which they begin, or in that of the cue before, so that nobody
    changes lines in mid-sentence. `before`: the speakers of that cue."""
    by_speaker: dict[int | None, list[Piece]] = {}
    for piece in group:
        by_speaker.setdefault(piece.speaker, []).append(piece)
    columns, _ = share(rules, len(by_speaker))
    order = sorted(by_speaker, key=before.index) if by_speaker.keys() <= set(before) else list(by_speaker)
    lines = [lay_out(by_speaker[speaker], columns) for speaker in order]
    if len(order) > 1:
        lines = [(DASH + first, *others) for first, *others in lines]
    return tuple(Turn(speaker, said) for speaker, said in zip(order, lines, strict=True))
