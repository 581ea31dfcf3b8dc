"""Note where a stream of samples is audible, apart from the chunker, so that what the chunker loses is known."""

from __future__ import annotations

import numpy as np

from gpu_job.audio.loudness import FRAME, MeasuredAudio

ROUNDING_DB = 0.01
"""By how much two computations of the same level may differ."""

MAX_PAUSE_FRAMES = 30
"""Shorter pauses between audible frames, of 10 ms each, count as audible; what the chunker leaves out is longer."""

SampleRange = tuple[int, int]
"""[start, end) in samples of the upload."""


class AudibleAudio:
    """Takes audio as it is measured; keeps a few numbers for each stretch of sound."""

    def __init__(self, audible_db: float) -> None:
        """Nothing as loud as `audible_db` may be left out (`CutRules.audible_db`)."""
        self._threshold = audible_db + ROUNDING_DB
        self._ranges: list[SampleRange] = []
        self._position = 0

    def add(self, measured: MeasuredAudio) -> None:
        """The next samples."""
        is_audible = measured.levels >= self._threshold
        edges = np.flatnonzero(np.diff(is_audible, prepend=False, append=False))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            start, end = self._position + first * FRAME, self._position + last * FRAME
            if self._ranges and start - self._ranges[-1][1] < MAX_PAUSE_FRAMES * FRAME:
                self._ranges[-1] = (self._ranges[-1][0], end)
            else:
                self._ranges.append((start, end))
        self._position += len(measured.samples)

    @property
    def ranges(self) -> list[SampleRange]:
        """Where it was audible, in order."""
        return self._ranges
