"""What was wrong with what the product made of a file, by what is known of the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.media.measure import Measured, Place
from benchmarks.media.recipes import Recipe, Truth
from benchmarks.media.tones import CELLS

CELL = 1 / CELLS

PLACE_SECONDS = 0.12
"""How far a word may stand from where it was spoken: 0.1 s, and what finding a tone is uncertain by."""

LENGTH_SECONDS = 0.1
"""How far the decoded length may be from the truth, or from the independent decoder's."""

DAMAGED_LENGTH_SECONDS = 0.5
"""The same for a damaged file, with its gaps: a codec's frames and its recovery behind a missing one."""

BESIDE_SECONDS = 0.5
"""A gap may begin and end this far from what is missing."""

POINT_SECONDS = 8.0
"""A gap without length says that something is missing about here (gpu_job.audio.damage)."""

COVERED = 0.7
"""Share of a missing stretch that a gap must cover."""

STATED_SECONDS, STATED_SHARE, ESTIMATE_SHARE = 0.5, 0.02, 0.3
"""How far the length that inspection states may be from the truth."""

UNMARKED = ("pcm_", "libopencore_amrnb")
"""Codecs whose frames have no mark and no checksum: where the container has neither, nothing shows missing bytes."""

MAX_MEGABYTES = 1000.0

NOT_READ = re.compile(r"not read|not supported|not an audio or video file of a known kind")
"""What a true reason for a kind that is not read has in it."""

DAMAGED = re.compile(r"damaged|cut off|could be decoded|0 seconds")


@dataclass(frozen=True)
class Run:
    """Consecutive cells of a session that are not in the decoded audio."""

    places: tuple[Place, ...]
    low: float
    """Where in the decoded audio they are missing: between the end of what was found before ..."""
    high: float
    """... and the start of what was found behind."""
    is_last: bool
    """Nothing of the file's was found behind it."""

    @property
    def seconds(self) -> float:
        """How much is missing."""
        return len(self.places) * CELL


@dataclass
class Verdict:
    """What was wrong; all zero and False where nothing was."""

    silent_seconds: float = 0.0
    """Sound in the file, or promised by it, that is neither decoded nor in a gap."""
    misplaced_seconds: float = 0.0
    false_gaps: int = 0
    true_gaps: int = 0
    is_length_wrong: bool = False
    is_stated_wrong: bool = False
    is_rejected_wrongly: bool = False
    is_crashed: bool = False
    remarks: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Nothing was wrong."""
        return not (
            self.silent_seconds
            or self.misplaced_seconds
            or self.false_gaps
            or self.is_length_wrong
            or self.is_stated_wrong
            or self.is_rejected_wrongly
            or self.is_crashed
        )


def verdict(recipe: Recipe, measured: Measured) -> Verdict:
    """Judge a file that was made."""
    found = Verdict()
    if measured.error is not None or max(measured.peak_megabytes, measured.child_megabytes) > MAX_MEGABYTES:
        found.is_crashed = True
        found.remarks.append(measured.error or f"{max(measured.peak_megabytes, measured.child_megabytes):.0f} MB")
        return found
    if measured.rejected is not None:
        _judge_rejection(recipe, measured, found)
        return found
    if recipe.truth.must_refuse and not any(place.found is not None for place in measured.places):
        found.is_rejected_wrongly = True
        found.remarks.append("taken for something else")
        return found
    runs = _runs(measured)
    matched = _judge_losses(recipe, measured, runs, found)
    _judge_gaps(recipe, measured, runs, matched, found)
    _judge_places(recipe.truth, measured, found)
    _judge_lengths(recipe, measured, runs, found)
    return found


def _judge_rejection(recipe: Recipe, measured: Measured, found: Verdict) -> None:
    truth, reason = recipe.truth, measured.rejected or ""
    readable = any(place.peer_found for place in measured.places)
    found.remarks.append(reason)
    if truth.must_refuse or (truth.may_refuse and NOT_READ.search(reason)):
        return
    if truth.is_damaged and DAMAGED.search(reason) and not readable:
        return
    if truth.may_refuse and not truth.is_damaged and not readable:
        return
    found.is_rejected_wrongly = True


def _runs(measured: Measured) -> list[Run]:
    """What is missing, without single cells at the ends of what was spoken, where codecs start and end softly."""
    runs: list[Run] = []
    places = measured.places
    index = 0
    while index < len(places):
        if places[index].found is not None:
            index += 1
            continue
        first = index
        while index < len(places) and places[index].found is None and _follows(places, first, index):
            index += 1
        part = places[first:index]
        before = next((one for one in reversed(places[:first]) if one.found is not None), None)
        behind = next((one for one in places[index:] if one.found is not None), None)
        low = before.found + CELL if before and before.found is not None else 0.0
        high = behind.found if behind and behind.found is not None else max(measured.decoded_seconds, low)
        is_edge = first == 0 or index == len(places) or not _follows(places, first - 1, index)
        if len(part) > 1 or not is_edge:
            runs.append(Run(tuple(part), min(low, high), max(low, high), behind is None))
    return runs


def _follows(places: Sequence[Place], first: int, last: int) -> bool:
    """Whether these are of one session, with nothing between them."""
    return places[first].session == places[last].session and places[last].cell - places[first].cell == last - first


def _judge_losses(recipe: Recipe, measured: Measured, runs: Sequence[Run], found: Verdict) -> set[int]:
    """Which gaps say what is missing, by their numbers."""
    matched: set[int] = set()
    for run in runs:
        near = [number for number, gap in enumerate(measured.gaps) if _is_about(run, gap, recipe.truth)]
        matched.update(near)
        is_reported = bool(near) and (not recipe.truth.has_clock or _covered(run, measured, near) >= COVERED)
        if not is_reported and not _is_excused(recipe, run):
            found.silent_seconds += run.seconds
            first, last = run.places[0], run.places[-1]
            found.remarks.append(
                f"lost {first.session} {first.cell * CELL:.1f}-{(last.cell + 1) * CELL:.1f} s"
                f"{', which ffmpeg decodes' if any(place.peer_found for place in run.places) else ''}"
            )
    return matched


def _is_about(run: Run, gap: tuple[float, float, str], truth: Truth) -> bool:
    start, end, _ = gap
    slack = BESIDE_SECONDS if end - start > 2 * CELL else POINT_SECONDS
    low = min(run.low, run.places[0].wanted) if run.is_last or truth.has_clock else run.low
    high = max(run.high, run.places[-1].wanted + CELL) if run.is_last or truth.has_clock else run.high
    if start <= high + slack and end >= low - slack:
        return True
    # Without a clock all that is known may be how much is missing at the end.
    return not truth.has_clock and end >= truth.seconds - BESIDE_SECONDS and end - start >= COVERED * run.seconds


def _covered(run: Run, measured: Measured, near: Sequence[int]) -> float:
    """Share of what is missing that lies in these gaps; a point covers what it is about."""
    total = 0.0
    for number in near:
        start, end, _ = measured.gaps[number]
        if end - start <= 2 * CELL:
            return 1.0
        low, high = run.places[0].wanted, run.places[-1].wanted + CELL
        total += max(0.0, min(end, high) - max(start, low))
    return total / run.seconds


def _is_excused(recipe: Recipe, run: Run) -> bool:
    """Whether nobody can know that it is missing."""
    truth = recipe.truth
    if not truth.is_damaged or truth.is_promised or any(place.peer_found for place in run.places):
        return False
    options = " ".join(recipe.encoding.options)
    return run.is_last or (not truth.has_clock and any(codec in options for codec in UNMARKED))


def _judge_gaps(recipe: Recipe, measured: Measured, runs: Sequence[Run], matched: set[int], found: Verdict) -> None:
    for number, (start, end, reason) in enumerate(measured.gaps):
        heard = sum(
            CELL for place in measured.places if place.found and start <= place.found and place.found + CELL <= end
        )
        is_near = number in matched or recipe.truth.may_have_gaps or (recipe.truth.is_damaged and not runs)
        if is_near and heard <= max(1.0, (end - start) / 2):
            found.true_gaps += 1
        else:
            found.false_gaps += 1
            found.remarks.append(f"false gap {start:.2f}-{end:.2f} s: {reason}")


def _judge_places(truth: Truth, measured: Measured, found: Verdict) -> None:
    lost = 0.0
    for place in measured.places:
        if place.found is None:
            lost += CELL
            continue
        early = lost + BESIDE_SECONDS if truth.is_damaged and not truth.has_clock else 0.0
        off = place.found - place.wanted
        if not -early - PLACE_SECONDS <= off <= PLACE_SECONDS + truth.slack_seconds:
            found.misplaced_seconds += CELL
            if found.misplaced_seconds <= 1.5 * CELL:
                found.remarks.append(f"{place.session} {place.cell * CELL:.1f} s stands {off:+.2f} s off")


def _judge_lengths(recipe: Recipe, measured: Measured, runs: Sequence[Run], found: Verdict) -> None:
    truth, decoded, peer = recipe.truth, measured.decoded_seconds, measured.peer_seconds
    if truth.is_damaged:
        final = max([decoded, *(end for _, end, _ in measured.gaps)])
        lost = sum(run.seconds for run in runs)
        low = truth.seconds - (0.0 if truth.is_promised and truth.has_clock else lost) - DAMAGED_LENGTH_SECONDS
        if not low <= final <= truth.seconds + DAMAGED_LENGTH_SECONDS:
            found.is_length_wrong = True
            found.remarks.append(f"{final:.2f} s with its gaps, not {truth.seconds:.2f} s")
        return
    is_near_peer = peer is not None and abs(decoded - peer) <= LENGTH_SECONDS and abs(peer - truth.seconds) <= 0.5
    if runs and not found.silent_seconds:
        decoded = max([decoded, *(end for _, end, _ in measured.gaps)])
    longest = truth.seconds + LENGTH_SECONDS + truth.slack_seconds
    if not truth.seconds - LENGTH_SECONDS <= decoded <= longest and not is_near_peer:
        found.is_length_wrong = True
        found.remarks.append(f"decoded {decoded:.2f} s, not {truth.seconds:.2f} s")
    slack = max(STATED_SECONDS, (ESTIMATE_SHARE if measured.is_estimate else STATED_SHARE) * truth.seconds)
    if abs(measured.stated_seconds - truth.seconds) > slack:
        found.is_stated_wrong = True
        found.remarks.append(f"stated {measured.stated_seconds:.2f} s, not {truth.seconds:.2f} s")
