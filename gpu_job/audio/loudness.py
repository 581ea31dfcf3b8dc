"""Measure loudness: samples -> the level of each 10 ms, without DC offset and nearly without mains hum."""

from __future__ import annotations

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
