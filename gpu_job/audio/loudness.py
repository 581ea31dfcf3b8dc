"""Measure loudness: samples -> the level of each 10 ms, without DC offset and nearly without mains hum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples

FRAMES_PER_SECOND = 100
FRAME = SAMPLE_RATE // FRAMES_PER_SECOND
"""Samples in one level frame: 10 ms."""

SILENCE_DB = -100.0
"""Level of digital silence, in dB below full scale."""

Levels = NDArray[np.float32]
"""Shape [frames], in dB below full scale, at least SILENCE_DB."""

_SPAN = SAMPLE_RATE // 800
"""Samples over which the mean is taken out: 1.25 ms takes 19 dB off 50 Hz, 13 off 100 Hz, 2 off 400 Hz."""
_TO_SPANS = np.repeat(np.eye(FRAME // _SPAN, dtype=np.float32), _SPAN, axis=0)
"""[FRAME, spans]: sums up the spans of a frame. A product of matrices is many times faster than sums of so few."""


def levels(samples: Samples) -> Levels:
    """RMS level of each whole 10 ms frame, without what is slower than speech.

    Whole seconds at a time: how a product of matrices rounds depends on its shape. So the levels of a stream that comes
    in blocks of whole seconds are those of the whole, bit by bit.
    """
    frames = len(samples) // FRAME
    seconds = -(-frames // FRAMES_PER_SECOND)
    if frames % FRAMES_PER_SECOND:
        samples = np.concatenate(
            (samples[: frames * FRAME], np.zeros(seconds * SAMPLE_RATE - frames * FRAME, np.float32))
        )
    parts = samples[: seconds * SAMPLE_RATE].reshape(seconds, FRAMES_PER_SECOND, FRAME)
    sums = parts @ _TO_SPANS
    power = (np.einsum("sij,sij->si", parts, parts) - np.einsum("sij,sij->si", sums, sums) / _SPAN) / FRAME
    decibel: Levels = 10.0 * np.log10(np.maximum(power, np.float32(10.0 ** (SILENCE_DB / 10 - 1))))
    return np.maximum(decibel, np.float32(SILENCE_DB)).reshape(-1)[:frames]


@dataclass(frozen=True, eq=False)
class MeasuredAudio:
    """Consecutive samples in whole frames, and the level of each frame."""

    samples: Samples
    levels: Levels


class LevelMeter:
    """Takes blocks of samples of any length, gives them in whole seconds with their levels, of which all who need them
    take the same."""

    def __init__(self) -> None:
        self._rest: Samples = np.zeros(0, np.float32)

    def add(self, block: Samples) -> MeasuredAudio:
        """The next samples -> the whole seconds until now, perhaps none."""
        block = np.concatenate((self._rest, block)) if len(self._rest) else block
        whole = len(block) // SAMPLE_RATE * SAMPLE_RATE
        self._rest = block[whole:].copy()
        return _measured(block[:whole])

    def end(self) -> MeasuredAudio:
        """No more samples come -> the rest, its last frame filled up with silence."""
        rest, self._rest = self._rest, self._rest[:0]
        return _measured(np.pad(rest, (0, -len(rest) % FRAME)))

    def of_stream(self, blocks: Iterable[Samples]) -> Iterator[MeasuredAudio]:
        """A whole stream."""
        for block in blocks:
            yield self.add(block)
        yield self.end()


def _measured(samples: Samples) -> MeasuredAudio:
    return MeasuredAudio(samples, levels(samples))


class SecondLoudness:
    """How loud each second of a channel is: the mean power of its frames."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.int8]] = []

    def add(self, measured: MeasuredAudio) -> None:
        """The next seconds; only the stream's last may be shorter than a second."""
        level = measured.levels
        if not len(level):
            return
        firsts = np.arange(0, len(level), FRAMES_PER_SECOND)
        frames = np.minimum(FRAMES_PER_SECOND, len(level) - firsts)
        power = np.add.reduceat(10.0 ** (level / 10), firsts) / frames
        self._parts.append(np.rint(10 * np.log10(power)).clip(SILENCE_DB, 0).astype(np.int8))

    @property
    def decibels(self) -> NDArray[np.int8]:
        """Of each second, in dB below full scale, from SILENCE_DB to 0."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.int8)


def loudest(channels: Iterable[SecondLoudness]) -> tuple[int, ...]:
    """Of each second the loudest channel's."""
    return tuple(np.max([channel.decibels for channel in channels], axis=0).tolist())


def runs_below(level: Levels, threshold: float, shortest: float) -> list[tuple[int, int]]:
    """Stretches of frames below a level, as [start, end), that last at least `shortest` seconds."""
    below = np.diff((level < threshold).astype(np.int8), prepend=0, append=0)
    edges = np.flatnonzero(below)
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in runs if end - start >= shortest * FRAMES_PER_SECOND]


def quietest(level: Levels, first: int, last: int, width: int) -> int:
    """The middle of the quietest stretch of `width` frames within [first, last), which is no shorter."""
    sums = np.cumsum(np.concatenate(([0.0], level[first:last])))
    return first + int(np.argmin(sums[width:] - sums[:-width])) + width // 2
