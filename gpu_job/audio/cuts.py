"""Choose where a chunk is cut: levels -> the end of the next chunk. Pure.

Two tiers. Where there are pauses, the cut is in the widest of the allowed window, and inaudible silence is left out.
Where there are none, neighbours overlap around the quietest place, and what both recognized is merged
(`gpu_job.assembly.merge`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpu_job.audio.loudness import FRAMES_PER_SECOND, Levels, quietest, runs_below


@dataclass(frozen=True)
class CutRules:
    """Where a chunk may end. Times in seconds, levels in dB."""

    max_seconds: float = 20.0
    min_share: float = 0.5
    """A chunk of continuous speech ends no earlier than at this share of `max_seconds`."""
    still_above_floor_db: float = 6.0
    """Frames less than this above the local noise floor are still."""
    silent_below_loud_db: float = 20.0
    """Still frames that lie this far below the local loud ones are a pause; else they may be soft speech."""
    min_pause_seconds: float = 0.3
    """Shorter pauses may lie inside words, and to overlap costs little. With 0.2 s cuts hit words of speech that never
    pauses; with 0.3 s none did, under hum, music and noise too."""
    long_pause_seconds: float = 2.0
    """A still, inaudible stretch this long ends a chunk wherever it stands, and its middle is left out. With 1 s, the
    word error rate of the ten-minute recordings was 1.9 % instead of 1.4 %: short chunks lack context."""
    audible_db: float = -55.0
    """Nothing as loud as this is left out, even where it is the quietest of its surroundings: it may be soft speech."""
    padding_seconds: float = 0.3
    """Kept of a pause on either side: soft onsets and fading ends. Half a second of leading silence can silence
    a transducer (FluidAudio issue 746)."""
    overlap_seconds: float = 2.0
    """Shared by both neighbours where there is no pause, give or take 1.2 s; less in short chunks. With 1 s the merge
    made more errors than a single pass; more than 2 s brought nothing."""
    valley_seconds: float = 0.1
    """Width over which the quietest place is sought where there is no pause."""

    def __post_init__(self) -> None:
        if self.max_seconds * self.min_share < 1 or self.min_share > 0.6:
            raise ValueError("a chunk must be 1 s at least, and may end at 60 % of its greatest length")


class Cut(NamedTuple):
    """One chunk's place, in frames of the window; the next window starts at `resume`.

    Silence to be left out is a cut whose chunk is empty; `resume` before `end` is an overlap.
    """

    end: int
    resume: int


def next_cut(level: Levels, rules: CutRules, *, last: bool) -> Cut | None:
    """The next cut of a window, None where it takes more frames to tell.

    `level`: [frames], at least one; `last`: no more frames will come.
    """
    longest, padding = _frames(rules.max_seconds), _frames(rules.padding_seconds)
    floor, loud = np.percentile(level, (10, 95)).tolist()
    still = floor + rules.still_above_floor_db
    inaudible = runs_below(level, min(still, rules.audible_db), shortest=0)
    if inaudible and inaudible[0][0] == 0:
        _, onset = inaudible.pop(0)
        if onset == len(level) and last:
            return Cut(0, onset)
        if onset > padding:
            return Cut(0, onset - padding)
    for begin, end in inaudible:
        if begin < longest and end - begin >= _frames(rules.long_pause_seconds):
            return Cut(min(longest, begin + padding), end - padding)
    if len(level) <= longest:
        return Cut(len(level), len(level)) if last else None
    first = int(longest * rules.min_share)
    silent = min(still, loud - rules.silent_below_loud_db)
    pauses = runs_below(level, silent, rules.min_pause_seconds)
    cuts = [(end - begin, _cut_in_pause(level, begin, end, rules)) for begin, end in pauses]
    allowed = [(width, cut) for width, cut in cuts if first <= cut.end <= longest]
    return max(allowed)[1] if allowed else _overlapping_cut(level, first, longest, rules)


def _cut_in_pause(level: Levels, begin: int, end: int, rules: CutRules) -> Cut:
    """Cut a pause so that little silence leads into the next chunk; inaudible silence between is left out."""
    padding = _frames(rules.padding_seconds)
    resume = max((begin + end) // 2, end - padding)
    if level[begin:end].max() >= rules.audible_db:
        return Cut(resume, resume)
    return Cut(min(resume, begin + padding), resume)


def _overlapping_cut(level: Levels, first: int, longest: int, rules: CutRules) -> Cut:
    """Two chunks that share the surroundings of the quietest place, and begin and end in lesser valleys beside it."""
    width = max(1, _frames(rules.valley_seconds))
    # Half an overlap with its reach is a third of the shortest chunk at most: no place lies in three chunks.
    half = min(_frames(rules.overlap_seconds / 2), (first // 3 - width) * 2 // 3)
    reach = half // 2 + width
    valley = quietest(level, first, longest - half - reach, width)
    end = quietest(level, valley + half - reach, valley + half + reach, width)
    resume = quietest(level, valley - half - reach, valley - half + reach, width)
    return Cut(end, resume)


def _frames(seconds: float) -> int:
    return round(seconds * FRAMES_PER_SECOND)
