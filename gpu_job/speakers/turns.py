"""Who speaks when: turns of each speaker, from what overlapping windows say of each frame. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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

_BLOCK_FRAMES = 20_000
"""Frames that are decided at once, 5.6 minutes: bounds memory."""


@dataclass(frozen=True, order=True)
class Turn:
    """A stretch in which one speaker speaks; others may speak meanwhile. In seconds from the start of the upload."""

    start: float
    end: float
    speaker: int
    """From 0, by who is heard first."""


def turns_of(windows: Sequence[SpeakerWindow], speakers: Sequence[Speakers], end: float) -> list[Turn]:
    """Windows in time order, with whom their people are -> turns by start, none beyond `end` seconds.

    Speakers are numbered anew, by who is heard first.
    """
    count = 1 + max((int(each.max()) for each in speakers), default=NOBODY)
    if count == 0:
        return []
    open_turns: list[Turn | None] = [None] * count
    done: list[Turn] = []
    for first, active in _blocks(windows, speakers, count):
        for speaker in range(count):
            for start, stop in _runs(active[:, speaker]):
                turn = Turn(_border(first + start), min(_border(first + stop), end), speaker)
                before = open_turns[speaker]
                if before is not None and turn.start - before.end < _PAUSE_SECONDS:
                    turn = Turn(before.start, turn.end, speaker)
                elif before is not None:
                    done.append(before)
                open_turns[speaker] = turn
    done.extend(turn for turn in open_turns if turn is not None)
    kept = sorted(turn for turn in done if turn.end - turn.start >= _LEAST_TURN_SECONDS)
    numbers = {speaker: number for number, speaker in enumerate(dict.fromkeys(turn.speaker for turn in kept))}
    return [replace(turn, speaker=numbers[turn.speaker]) for turn in kept]


def _blocks(
    windows: Sequence[SpeakerWindow], speakers: Sequence[Speakers], count: int
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The first frame of each block, and who speaks in its frames: [frames, count]."""
    places = [window.first_frame for window in windows]
    last = places[-1] + FRAMES if places else 0
    # What a window says at its borders, where it lacks what comes before or after, counts less.
    weights = np.hamming(FRAMES).astype(np.float32)
    window_first = 0
    for first in range(0, last, _BLOCK_FRAMES):
        stop = min(first + _BLOCK_FRAMES, last)
        scores = np.zeros((stop - first, count), np.float32)
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
            voices[there] += (known != NOBODY).sum(axis=1) * weight
            for speaker in set(np.unique(known).tolist()) - {NOBODY}:
                scores[there, speaker] += (known == speaker).any(axis=1) * weight
        yield first, _loudest(scores, np.rint(voices / heard).astype(int))


def _loudest(scores: NDArray[np.float32], voices: NDArray[np.int_]) -> NDArray[np.bool_]:
    """[frames, speakers] scores, and how many voices there are in each frame -> who they are."""
    active = np.zeros(scores.shape, bool)
    order = np.argsort(-scores, axis=1, kind="stable")
    for rank in range(min(SPEAKERS_AT_ONCE, scores.shape[1])):
        rows = np.nonzero(voices > rank)[0]
        chosen = order[rows, rank]
        active[rows, chosen] = scores[rows, chosen] > 0
    return active


def _runs(active: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """[T] -> first frame and the one behind the last, of each run."""
    changes = np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))
    for start, stop in zip(np.nonzero(changes == 1)[0], np.nonzero(changes == -1)[0], strict=True):
        yield int(start), int(stop)


def _border(frame: int) -> float:
    """Seconds of the border before a frame."""
    return max(0.0, frame * FRAME_SECONDS + FIRST_FRAME_SECONDS - FRAME_SECONDS / 2)
