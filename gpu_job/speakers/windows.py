"""Windows of a recording as it is decoded: who of each window's people speaks in which frame, and their voices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.speakers.networks import (
    FEATURE_SECONDS,
    FIRST_FEATURE_SECONDS,
    FIRST_FRAME_SECONDS,
    FRAME_SECONDS,
    FRAMES,
    LOCAL_SPEAKERS,
    SETS,
    WINDOW,
    SpeakerNetworks,
    mel_features,
)

STEP = 5 * SAMPLE_RATE
"""Samples from one window to the next: every frame is heard twice. Of 2.5 s, errors fell by less than a tenth."""

_MARGIN = FRAMES * (WINDOW - STEP) / WINDOW / 2
"""Frames at each end of a window that its neighbours know better."""

_LEAST_SECONDS = 0.25
"""Of a shorter stretch, no embedding says anything."""

_PIECE_SECONDS = 2.0
"""A longer stretch is cut into equal pieces: the segmentation takes two alike voices of a window for one at times, and
a piece is seldom both."""

_ALONE_SECONDS = 0.4
"""A person who speaks alone for this long is known by that alone; else by all they say."""

_LOUD_DB = 20.0
"""Frames no softer than this below the loud ones of a window may be speech where the network doubts it."""
_LOUD_SHARE = 0.9
"""Share of a window's frames that are softer than its loud ones."""
_SURELY_NOBODY = 0.98
"""From here on the network is believed that nobody speaks, however loud it is. In a room with much echo, it gives half
of all speech 0.5 to 0.98."""

_DOUBTFUL_SHARE = 0.5
"""A piece is doubtful where more of its frames are."""

_LEAST_PROBABILITY = 1e-4

SILENCE_DB = -120
"""Level of a frame without any sound."""

_MOST_FEATURES = 300
"""3 s of a voice that is hardly ever alone are heard at most, its middle."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch in which one person of a window speaks alone."""

    first: int
    """First frame of the window."""
    stop: int
    """Behind the last one."""
    embedding: NDArray[np.float32]
    """[192], of length 1: what they sound like."""
    is_doubtful: bool = False
    """Whether it may be noise or music: the network takes most of it for nobody."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.stop - self.first) * FRAME_SECONDS


@dataclass(frozen=True, eq=False)
class SpeakerWindow:
    """What was heard in one window."""

    start: int
    """First sample."""
    sets: NDArray[np.uint8]
    """[frames], places in `SETS`: who speaks."""
    pieces: tuple[Piece, ...]
    """By time. Those of all windows together have each moment about once."""
    over_others: tuple[NDArray[np.float32] | None, ...] = (None,) * LOCAL_SPEAKERS
    """[192] What each of the three people sounds like while others speak, where they hardly speak at another time."""
    levels: NDArray[np.int8] = field(default_factory=lambda: np.full(FRAMES, SILENCE_DB, np.int8))
    """[frames] How loud it is, in dB below full scale."""
    alone: NDArray[np.int8] = field(default_factory=lambda: np.zeros((FRAMES, LOCAL_SPEAKERS), np.int8))
    """[frames, LOCAL_SPEAKERS] Logarithm of the probability that each of them speaks alone, in tenths. Where two speak,
    the louder is more likely to."""

    @property
    def active(self) -> NDArray[np.bool_]:
        """[frames, LOCAL_SPEAKERS] Who speaks."""
        return SETS[self.sets]

    @property
    def first_frame(self) -> int:
        """The place of its first frame among those of the recording."""
        return round(seconds(self.start) / FRAME_SECONDS)


class WindowCutter:
    """Takes samples as they are decoded, keeps no more of them than a window, and cuts them into windows: of a part of
    a recording, those of the whole one's that begin in it."""

    def __init__(self, begin: int = 0, first: int = 0, stop: int | None = None) -> None:
        """Counted in samples of the recording. `begin`: which one comes first, `first` at the latest. `first`, `stop`:
        a window that begins before the one, or from the other on, is another part's; None: there is none behind."""
        self._waiting = np.zeros(0, np.float32)
        self._start = ceil(first / STEP) * STEP
        self._skipped = self._start - begin
        """Samples to come that no own window has."""
        self._stop = stop

    @property
    def has_all(self) -> bool:
        """Whether all windows are cut, whatever comes."""
        return self._stop is not None and self._start >= self._stop

    def add(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        """More samples -> the first sample and the samples of each window that they complete."""
        skipped = min(self._skipped, len(samples))
        self._skipped -= skipped
        if self.has_all:
            return
        self._waiting = np.concatenate([self._waiting, samples[skipped:]])
        while len(self._waiting) >= WINDOW and not self.has_all:
            yield self._start, self._waiting[:WINDOW]
            self._start += STEP
            self._waiting = self._waiting[STEP:]

    def end(self) -> Iterator[tuple[int, Samples]]:
        """The recording ends here: the last windows, filled up with silence, of those that `starts_of` has."""
        end = self._start + len(self._waiting)
        while len(self._waiting) and is_heard(self._start, end) and not self.has_all:
            yield self._start, np.pad(self._waiting, (0, WINDOW - len(self._waiting)))
            self._start += STEP
            self._waiting = self._waiting[STEP:]


def is_heard(start: int, end: int) -> bool:
    """Whether there is a window at `start` of a recording of `end` samples: until its end is in one's middle half."""
    return start + (WINDOW - STEP) // 2 < end or 0 == start < end


def starts_of(end: int) -> list[int]:
    """First samples of all windows of a recording of `end` samples."""
    return [start for start in range(0, end, STEP) if is_heard(start, end)]


def hear(networks: SpeakerNetworks, start: int, window: Samples) -> SpeakerWindow:
    """Who speaks in a window of `WINDOW` samples. `start`: its first sample's place in the recording."""
    probabilities = networks.probabilities(np.ascontiguousarray(window))
    levels = levels_of(window)
    sets, doubtful = _sets(probabilities, levels)
    if not sets.any():
        return SpeakerWindow(start, sets, (), levels=levels)
    features = mel_features(window)
    pieces = []
    for first, stop in _stretches(sets, is_first=start == 0):
        heard = features[_feature(first) : _feature(stop)]
        if len(heard) * FEATURE_SECONDS >= _LEAST_SECONDS:
            is_doubtful = bool(doubtful[first:stop].mean() > _DOUBTFUL_SHARE)
            pieces.append(Piece(first, stop, networks.embedding(heard), is_doubtful))
    active = SETS[sets]
    is_alone = active.sum(axis=1) == 1
    over_others = tuple(
        None
        if active[is_alone, one].sum() * FRAME_SECONDS >= _ALONE_SECONDS
        else _voice_over_others(networks, features, active[:, one])
        for one in range(LOCAL_SPEAKERS)
    )
    alone = np.rint(10 * np.log(np.maximum(probabilities[:, 1 : 1 + LOCAL_SPEAKERS], _LEAST_PROBABILITY)))
    return SpeakerWindow(start, sets, tuple(pieces), over_others, levels, alone.astype(np.int8))


def levels_of(window: Samples) -> NDArray[np.int8]:
    """[FRAMES] How loud each frame of a window is, in dB below full scale, `SILENCE_DB` at least."""
    first = round((FIRST_FRAME_SECONDS - FRAME_SECONDS / 2) * SAMPLE_RATE)
    length = round(FRAME_SECONDS * SAMPLE_RATE)
    powers = np.square(window[first : first + FRAMES * length]).reshape(FRAMES, length).mean(axis=1)
    levels = 10 * np.log10(np.maximum(powers, 10 ** (SILENCE_DB / 10)))
    return np.asarray(np.clip(np.rint(levels), SILENCE_DB, 127), np.int8)


def _sets(probabilities: NDArray[np.float32], levels: NDArray[np.int8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """[FRAMES] Who speaks, and where the network doubts it: the likeliest set, or the likeliest of somebody where it is
    as loud as speech around it."""
    sets = np.asarray(probabilities.argmax(axis=1), np.uint8)
    loud = levels > max(float(np.quantile(levels, _LOUD_SHARE)) - _LOUD_DB, SILENCE_DB)
    doubtful = loud & (sets == 0) & (probabilities[:, 0] < _SURELY_NOBODY)
    sets[doubtful] = 1 + probabilities[doubtful, 1:].argmax(axis=1)
    return sets, doubtful


def _voice_over_others(
    networks: SpeakerNetworks, features: NDArray[np.float32], speaks: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    heard = [features[_feature(frame) : _feature(frame + 1)] for frame in np.nonzero(speaks)[0].tolist()]
    rows = np.concatenate(heard) if heard else features[:0]
    if len(rows) * FEATURE_SECONDS < _LEAST_SECONDS:
        return None
    middle = max(0, (len(rows) - _MOST_FEATURES) // 2)
    return networks.embedding(rows[middle : middle + _MOST_FEATURES])


def _stretches(sets: NDArray[np.uint8], *, is_first: bool) -> Iterator[tuple[int, int]]:
    """First frame and the one behind the last, of each piece in which one person speaks alone and whose middle is in
    the window's middle half: what is heard at its borders, the window before or behind it knows better."""
    begin, end = 0.0 if is_first else _MARGIN, FRAMES - _MARGIN
    borders = [0, *(np.nonzero(np.diff(sets))[0] + 1), FRAMES]
    for first, stop in pairwise(borders):
        if SETS[sets[first]].sum() != 1:
            continue
        parts = ceil((stop - first) * FRAME_SECONDS / _PIECE_SECONDS)
        cuts = [first + round(part * (stop - first) / parts) for part in range(parts + 1)]
        yield from ((one, other) for one, other in pairwise(cuts) if begin <= (one + other) / 2 < end)


def _feature(frame: int) -> int:
    """The feature of the time at which a frame begins."""
    time = FIRST_FRAME_SECONDS + (frame - 0.5) * FRAME_SECONDS
    return max(0, round((time - FIRST_FEATURE_SECONDS) / FEATURE_SECONDS))
