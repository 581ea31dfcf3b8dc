"""Windows of a recording as it is decoded: who of each window's people speaks in which frame, and their voices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.speakers.networks import (
    FEATURE_SECONDS,
    FIRST_FEATURE_SECONDS,
    FIRST_FRAME_SECONDS,
    FRAME_SECONDS,
    LOCAL_SPEAKERS,
    SETS,
    WINDOW,
    SpeakerNetworks,
    mel_features,
)

STEP = 5 * SAMPLE_RATE
"""Samples from one window to the next: every frame is heard twice. Of 2.5 s, errors fell by less than a tenth."""

_ALONE_SECONDS = 0.4
"""A person who speaks alone for this long is known by that alone; else by all they say."""

_LEAST_SECONDS = 0.25
"""Of a shorter voice, no embedding says anything."""

_MOST_FEATURES = 300
"""3 s of a voice are heard at most, its middle: twice as much took twice the time and changed no speaker."""


@dataclass(frozen=True, eq=False)
class Voice:
    """What one person sounds like in one window."""

    embedding: NDArray[np.float32]
    """[192], of length 1."""
    alone_seconds: float
    """How long nobody else speaks meanwhile."""


@dataclass(frozen=True, eq=False)
class SpeakerWindow:
    """What was heard in one window."""

    start: int
    """First sample."""
    sets: NDArray[np.uint8]
    """[frames], places in `SETS`: who speaks."""
    voices: tuple[Voice | None, ...]
    """Of each of the three people; None where they say too little."""

    @property
    def active(self) -> NDArray[np.bool_]:
        """[frames, LOCAL_SPEAKERS] Who speaks."""
        return SETS[self.sets]


class WindowCutter:
    """Takes samples as they are decoded, keeps no more of them than a window, and cuts them into windows."""

    def __init__(self) -> None:
        self._waiting = np.zeros(0, np.float32)
        self._start = 0
        self._cut_until = 0

    def add(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        """More samples -> the first sample and the samples of each window that they complete."""
        self._waiting = np.concatenate([self._waiting, samples])
        while len(self._waiting) >= WINDOW:
            yield self._start, self._waiting[:WINDOW]
            self._cut_until = self._start + WINDOW
            self._start += STEP
            self._waiting = self._waiting[STEP:]

    def end(self) -> Iterator[tuple[int, Samples]]:
        """The recording's last window, filled up with silence; none where all was cut."""
        if self._start + len(self._waiting) > self._cut_until:
            yield self._start, np.pad(self._waiting, (0, WINDOW - len(self._waiting)))
        self._waiting = self._waiting[:0]


def hear(networks: SpeakerNetworks, start: int, window: Samples) -> SpeakerWindow:
    """Who speaks in a window of `WINDOW` samples. `start`: its first sample's place in the recording."""
    sets = networks.sets(np.ascontiguousarray(window))
    if not sets.any():
        return SpeakerWindow(start, sets, (None,) * LOCAL_SPEAKERS)
    features = mel_features(window)
    active = SETS[sets]
    is_alone = active.sum(axis=1) == 1
    voices = tuple(_voice(networks, features, active[:, one], is_alone) for one in range(LOCAL_SPEAKERS))
    return SpeakerWindow(start, sets, voices)


def _voice(
    networks: SpeakerNetworks, features: NDArray[np.float32], speaks: NDArray[np.bool_], is_alone: NDArray[np.bool_]
) -> Voice | None:
    alone = speaks & is_alone
    alone_seconds = float(alone.sum()) * FRAME_SECONDS
    used = alone if alone_seconds >= _ALONE_SECONDS else speaks
    times = FIRST_FEATURE_SECONDS + FEATURE_SECONDS * np.arange(len(features))
    frames = np.rint((times - FIRST_FRAME_SECONDS) / FRAME_SECONDS).astype(int).clip(0, len(used) - 1)
    heard = features[used[frames]]
    if len(heard) * FEATURE_SECONDS < _LEAST_SECONDS:
        return None
    first = max(0, (len(heard) - _MOST_FEATURES) // 2)
    return Voice(networks.embedding(heard[first : first + _MOST_FEATURES]), alone_seconds)
