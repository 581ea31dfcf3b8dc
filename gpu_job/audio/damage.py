"""Find where a file is damaged, by the decoder's error messages and the zeros it fills in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gpu_job.audio.samples import SAMPLE_RATE, Samples

MIN_ZEROED_FRAMES = SAMPLE_RATE * 80 // 1000
"""ffmpeg fills in from 100 ms on (`min_hard_comp`); resampling blurs the edges."""

AFTER_ERROR_FRAMES = 8 * SAMPLE_RATE
"""An error message comes before the zeros it explains: by what is in the pipe (4 s) and in ffmpeg's queues."""

PACKET_ERROR = b"Error submitting packet to decoder"
"""ffmpeg's message for each codec frame that is lost."""

MIN_PACKET_ERRORS = 4
"""Codec frames last about 25 ms. Tags within a file and the seams of joined ones cost one or two."""

DamagedSpan = tuple[int, int]
"""[start, end) in frames of the upload."""


class DamageDetector:
    """Finds damage in one decoder's stream.

    In most containers the timestamps go on behind a damaged stretch, and ffmpeg fills in exact zeros. Zeros
    without an error message are silence of the recording. In files without timestamps nothing is filled in: where many
    codec frames were refused and no zeros follow, the damage is a point, known to within some seconds.
    """

    def __init__(self, start: int) -> None:
        self.spans: list[DamagedSpan] = []
        """Found by their zeros."""
        self._refusals: list[tuple[int, int]] = []
        self._position = start
        self._watch_until = start
        self._open: int | None = None

    @property
    def points(self) -> list[int]:
        """Frames at about which something is lost."""
        return [place for place, refused in self._refusals if refused >= MIN_PACKET_ERRORS]

    def feed(self, frames: Samples, stderr: bytes) -> None:
        """Take the next frames, shape [T, channels], and ffmpeg's stderr from before all of them were written."""
        begin, end = self._position, self._position + len(frames)
        self._position = end
        if stderr:
            self._watch_until = end + AFTER_ERROR_FRAMES
        if refused := stderr.count(PACKET_ERROR):
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
        """This window ends here, though the file goes on."""
        self._close(self._position)

    def _count(self, place: int, refused: int) -> None:
        if self._refusals and place - self._refusals[-1][0] < AFTER_ERROR_FRAMES:
            first, before = self._refusals.pop()
            place, refused = first, before + refused
        self._refusals.append((place, refused))

    def _close(self, end: int) -> None:
        if self._open is not None and end - self._open >= MIN_ZEROED_FRAMES:
            self.spans.append((self._open, end))
        self._open = None


def merge_damage(detectors: Iterable[DamageDetector]) -> list[DamagedSpan]:
    """What the detectors of all decoders found, in order of time. Damage across a join is seen from both sides."""
    detectors = list(detectors)
    together: list[DamagedSpan] = []
    for start, end in sorted(span for detector in detectors for span in detector.spans):
        if together and start <= together[-1][1]:
            together[-1] = (together[-1][0], max(end, together[-1][1]))
        else:
            together.append((start, end))
    for point in sorted(point for detector in detectors for point in detector.points):
        if all(end < point - AFTER_ERROR_FRAMES or start > point + AFTER_ERROR_FRAMES for start, end in together):
            together.append((point, point))
    return sorted(together)
