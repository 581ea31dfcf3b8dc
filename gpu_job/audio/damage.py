"""Holes: where a file is damaged, as told by what the decoder complains of and what it then gives."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gpu_job.audio.samples import SAMPLE_RATE, Samples

SHORTEST = SAMPLE_RATE * 80 // 1000
"""ffmpeg fills in from 100 ms on (`min_hard_comp`); resampling blurs the edges."""

AFTER_COMPLAINT = 8 * SAMPLE_RATE
"""A complaint comes before the silence that follows from it: by what waits in the pipe (4 s) and in ffmpeg's queues."""

REFUSED = b"Error submitting packet to decoder"
"""What ffmpeg says of each codec frame that is lost."""

MANY_REFUSED = 4
"""Codec frames last about 25 ms. Tags within a file and the seams of joined ones cost one or two."""

Hole = tuple[int, int]
"""[start, end) in frames of the upload."""


class HoleFinder:
    """Looks for damage in one decoder's stream.

    In most containers the timestamps go on behind a damaged stretch, and ffmpeg fills in exact zeros: a hole. Silence
    that nobody complained of is meant to be there. Files without timestamps close up over what is lost: where many
    codec frames were refused and no zeros follow, the hole is a point, known to within some seconds.
    """

    def __init__(self, start: int) -> None:
        self.holes: list[Hole] = []
        """Found by their zeros."""
        self._refusals: list[tuple[int, int]] = []
        self._position = start
        self._watch_until = start
        self._open: int | None = None

    @property
    def points(self) -> list[int]:
        """Frames at about which something is lost."""
        return [place for place, refused in self._refusals if refused >= MANY_REFUSED]

    def feed(self, frames: Samples, said: bytes) -> None:
        """Look at the next frames, shape [T, channels], and at what was complained of before all were written."""
        begin, end = self._position, self._position + len(frames)
        self._position = end
        if said:
            self._watch_until = end + AFTER_COMPLAINT
        if refused := said.count(REFUSED):
            self._count(begin, refused)
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

    def _count(self, place: int, refused: int) -> None:
        if self._refusals and place - self._refusals[-1][0] < AFTER_COMPLAINT:
            first, before = self._refusals.pop()
            place, refused = first, before + refused
        self._refusals.append((place, refused))

    def _close(self, end: int) -> None:
        if self._open is not None and end - self._open >= SHORTEST:
            self.holes.append((self._open, end))
        self._open = None


def united(finders: Iterable[HoleFinder]) -> list[Hole]:
    """What all decoders of a file found, in order of time. A hole across a join is seen from both sides."""
    finders = list(finders)
    together: list[Hole] = []
    for start, end in sorted(hole for finder in finders for hole in finder.holes):
        if together and start <= together[-1][1]:
            together[-1] = (together[-1][0], max(end, together[-1][1]))
        else:
            together.append((start, end))
    for point in sorted(point for finder in finders for point in finder.points):
        if all(end < point - AFTER_COMPLAINT or start > point + AFTER_COMPLAINT for start, end in together):
            together.append((point, point))
    return sorted(together)
