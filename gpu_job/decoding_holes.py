"""Holes: where a file is damaged and ffmpeg filled in silence for what it could not read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gpu_job.audio import SAMPLE_RATE, Samples

SHORTEST = SAMPLE_RATE * 80 // 1000
"""ffmpeg fills in from 100 ms on (`min_hard_comp`); resampling blurs the edges."""

AFTER_COMPLAINT = 8 * SAMPLE_RATE
"""A complaint comes before the silence that follows from it: by what waits in the pipe (4 s) and in ffmpeg's queues."""


class HoleFinder:
    """Looks for exact zeros after a decoder's complaints. Silence that nobody complained of is meant to be there."""

    def __init__(self, start: int) -> None:
        self.holes: list[tuple[int, int]] = []
        """[start, end) in frames of the upload."""
        self._position = start
        self._watch_until = start
        self._open: int | None = None

    def feed(self, frames: Samples, *, complained: bool) -> None:
        """Look at the next frames, shape [T, channels]."""
        begin, end = self._position, self._position + len(frames)
        self._position = end
        if complained:
            self._watch_until = end + AFTER_COMPLAINT
        if self._open is None and begin >= self._watch_until:
            return
        edges = begin + np.flatnonzero(np.diff(~frames.any(axis=1), prepend=False, append=False))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        if self._open is not None and (not runs or runs[0][0] > begin):
            self._close(begin)
        for first, last in runs:
            if self._open is None and first < self._watch_until:
                self._open = first
            if last < end:
                self._close(last)

    def finish(self) -> None:
        """No more will be read of this stretch, though the file goes on."""
        self._close(self._position)

    def _close(self, end: int) -> None:
        if self._open is not None and end - self._open >= SHORTEST:
            self.holes.append((self._open, end))
        self._open = None


def united(holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order of time, those that touch as one: a hole across a join is seen from both sides."""
    together: list[tuple[int, int]] = []
    for start, end in sorted(holes):
        if together and start <= together[-1][1]:
            together[-1] = (together[-1][0], max(end, together[-1][1]))
        else:
            together.append((start, end))
    return together
