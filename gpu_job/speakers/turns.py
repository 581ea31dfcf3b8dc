"""Who speaks when: turns of each speaker, from what overlapping windows say of each frame. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpu_job.speakers.clusters import NOBODY, Speakers
from gpu_job.speakers.networks import FIRST_FRAME_SECONDS, FRAME_SECONDS, FRAMES
from gpu_job.speakers.windows import SpeakerWindow

SPEAKERS_AT_ONCE = 2
"""More voices at once are not told apart by the network."""

_PAUSE_SECONDS = 0.25
"""A shorter pause does not end a turn."""

_LEAST_TURN_SECONDS = 0.15
"""A shorter turn is no speech but an uncertain border."""

_SOLO_FRAMES = 180
"""3 s before and after two speak at once, each of whom is as loud there as when they speak alone."""
_LEAST_SOLO_FRAMES = 12
"""0.2 s; of fewer, nothing is known."""
_ALONE_WEIGHT = 0.25
"""Of the logarithm of how much likelier one speaks alone, beside that of their powers' ratio. With 0.2 to 0.3, 81 % of
the words of made crosstalk are the louder one's, with powers alone 75 %."""
_LOUDER = 0.2
"""One is the louder from this sum on; below, nobody knows."""

_MOST_RATIO = 3.0
"""13 dB: more says no more."""
_LEAST_POWER = 1e-9

_BLOCK_FRAMES = 20_000
"""Frames that are decided at once, 5.6 minutes: bounds memory."""


@dataclass(frozen=True, order=True)
class Turn:
    """A stretch in which one speaker speaks; others may speak meanwhile. In seconds from the start of the upload."""

    start: float
    end: float
    speaker: int
    """From 0, by who is heard first."""
    drowned: tuple[tuple[float, float], ...] = ()
    """Start and end of each stretch of it in which another speaks louder: an engine writes the other's words there."""


@dataclass(frozen=True, eq=False)
class Block:
    """Frames of a recording."""

    first: int
    """The first of them."""
    active: NDArray[np.bool_]
    """[frames, speakers] Who speaks."""
    powers: NDArray[np.float32]
    """[frames] Mean squares of the samples."""
    alone: NDArray[np.float32]
    """[frames, speakers] Logarithm of the probability that each speaks alone, where they speak."""


def turns_of(windows: Sequence[SpeakerWindow], speakers: Sequence[Speakers], end: float) -> list[Turn]:
    """Windows in time order, with whom their people are -> turns by start, none beyond `end` seconds.

    Speakers are numbered anew, by who is heard first.
    """
    count = 1 + max((int(each.max()) for each in speakers), default=NOBODY)
    if count == 0:
        return []
    open_turns: list[Turn | None] = [None] * count
    done: list[Turn] = []
    for block in _blocks(windows, speakers, count):
        drowned = drowned_frames(block)
        for speaker in range(count):
            softer = [_stretch(block.first, run, end) for run in _runs(drowned[:, speaker])]
            for run in _runs(block.active[:, speaker]):
                start, stop = _stretch(block.first, run, end)
                turn = Turn(start, stop, speaker, tuple(one for one in softer if start <= one[0] < stop))
                before = open_turns[speaker]
                if before is not None and turn.start - before.end < _PAUSE_SECONDS:
                    turn = Turn(before.start, turn.end, speaker, before.drowned + turn.drowned)
                elif before is not None:
                    done.append(before)
                open_turns[speaker] = turn
    done.extend(turn for turn in open_turns if turn is not None)
    kept = sorted(turn for turn in done if turn.end - turn.start >= _LEAST_TURN_SECONDS)
    numbers = {speaker: number for number, speaker in enumerate(dict.fromkeys(turn.speaker for turn in kept))}
    return [replace(turn, speaker=numbers[turn.speaker]) for turn in kept]


def _blocks(windows: Sequence[SpeakerWindow], speakers: Sequence[Speakers], count: int) -> Iterator[Block]:
    """Frames by time, so many that memory is bounded."""
    places = [window.first_frame for window in windows]
    last = places[-1] + FRAMES if places else 0
    # What a window says at its borders, where it lacks what comes before or after, counts less.
    weights = np.hamming(FRAMES).astype(np.float32)
    window_first = 0
    for first in range(0, last, _BLOCK_FRAMES):
        stop = min(first + _BLOCK_FRAMES, last)
        scores = np.zeros((stop - first, count), np.float32)
        alone = np.zeros((stop - first, count), np.float32)
        powers = np.zeros(stop - first, np.float32)
        voices = np.zeros(stop - first, np.float32)
        heard = np.full(stop - first, 1e-9, np.float32)
        while places[window_first] + FRAMES <= first:
            window_first += 1
        window_stop = bisect_left(places, stop)
        these = slice(window_first, window_stop)
        for place, window, people in zip(places[these], windows[these], speakers[these], strict=True):
            inside = slice(max(first, place) - place, min(stop, place + FRAMES) - place)
            there = slice(inside.start + place - first, inside.stop + place - first)
            weight = weights[inside]
            heard[there] += weight
            known = np.where(window.active[inside], people[inside], NOBODY)
            powers[there] += 10 ** (window.levels[inside] / np.float32(10)) * weight
            voices[there] += (known != NOBODY).sum(axis=1) * weight
            for speaker in set(np.unique(known).tolist()) - {NOBODY}:
                is_theirs = known == speaker
                scores[there, speaker] += is_theirs.any(axis=1) * weight
                alone[there, speaker] += (window.alone[inside] * is_theirs).sum(axis=1) * weight / 10
        active = _loudest(scores, np.rint(voices / heard).astype(int))
        yield Block(first, active, powers / heard, np.asarray(alone / np.maximum(scores, 1e-9), np.float32))


def _loudest(scores: NDArray[np.float32], voices: NDArray[np.int_]) -> NDArray[np.bool_]:
    """[frames, speakers] scores, and how many voices there are in each frame -> who they are."""
    active = np.zeros(scores.shape, bool)
    order = np.argsort(-scores, axis=1, kind="stable")
    for rank in range(min(SPEAKERS_AT_ONCE, scores.shape[1])):
        rows = np.nonzero(voices > rank)[0]
        chosen = order[rows, rank]
        active[rows, chosen] = scores[rows, chosen] > 0
    return active


def drowned_frames(block: Block) -> NDArray[np.bool_]:
    """[frames, speakers] Where each speaks, and another one louder."""
    drowned = np.zeros(block.active.shape, bool)
    both = block.active.sum(axis=1) == SPEAKERS_AT_ONCE
    count = block.active.shape[1]
    # A change of who they are begins a new stretch.
    pairs = np.where(both, block.active.argmax(axis=1) * count + block.active[:, ::-1].argmax(axis=1), -1)
    borders = [0, *(np.nonzero(np.diff(pairs))[0] + 1).tolist(), len(pairs)]
    for start, stop in pairwise(borders):
        if both[start]:
            one, other = np.nonzero(block.active[start])[0].tolist()
            louder = _louder(block, start, stop, one, other)
            if abs(louder) >= _LOUDER:
                drowned[start:stop, other if louder > 0 else one] = True
    return drowned


def _louder(block: Block, start: int, stop: int, one: int, other: int) -> float:
    """Two speak from one frame to another: how much louder the first is, below 0 the second; 0 where nobody knows."""
    together = float(block.powers[start:stop].mean())
    near = slice(max(0, start - _SOLO_FRAMES), stop + _SOLO_FRAMES)
    powers = [_power_alone(block, near, speaker) for speaker in (one, other)]
    # Who speaks only meanwhile has what the other one lacks.
    first, second = (
        max(together - powers[1 - at], 0.0) if math.isnan(power) else power for at, power in enumerate(powers)
    )
    alone = block.alone[start:stop].mean(axis=0)
    likelier = _ALONE_WEIGHT * float(alone[one] - alone[other])
    if math.isnan(first) or math.isnan(second):
        return likelier
    ratio = math.log(max(first, _LEAST_POWER) / max(second, _LEAST_POWER))
    return min(max(ratio, -_MOST_RATIO), _MOST_RATIO) + likelier


def _power_alone(block: Block, near: slice, speaker: int) -> float:
    """Not a number where they do not speak alone."""
    alone = block.active[near, speaker] & (block.active[near].sum(axis=1) == 1)
    return float(block.powers[near][alone].mean()) if alone.sum() >= _LEAST_SOLO_FRAMES else math.nan


def _runs(active: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """[T] -> first frame and the one behind the last, of each run."""
    changes = np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))
    for start, stop in zip(np.nonzero(changes == 1)[0], np.nonzero(changes == -1)[0], strict=True):
        yield int(start), int(stop)


def _stretch(first: int, run: tuple[int, int], end: float) -> tuple[float, float]:
    """Start and end in seconds of a run of frames of a block, none beyond `end`."""
    return _border(first + run[0]), min(_border(first + run[1]), end)


def _border(frame: int) -> float:
    """Seconds of the border before a frame."""
    return max(0.0, frame * FRAME_SECONDS + FIRST_FRAME_SECONDS - FRAME_SECONDS / 2)
