"""Turn probabilities of speech, one a frame, into segments of speech. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE

FRAME = 512
"""Samples that one probability stands for: 32 ms."""


@dataclass(frozen=True)
class VadThresholds:
    """Thresholds for segments of speech. The figures are those of Silero's own function, but for the last."""

    begins_at: float = 0.5
    """Probability from which on there is speech."""
    ends_below: float = 0.35
    """Probability below which speech ends."""
    min_pause_seconds: float = 0.1
    """Shorter pauses belong to the speech around them."""
    min_speech_seconds: float = 0.2
    """Shorter segments are clicks and breaths."""


def speech_segments(probabilities: NDArray[np.float32], rules: VadThresholds) -> list[tuple[int, int]]:
    """Segments of speech, as [start, end) in frames."""
    # Where a frame lies between the thresholds, the last one that did not decides.
    decided = np.where(probabilities >= rules.begins_at, 1, np.where(probabilities < rules.ends_below, 0, -1))
    last = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(decided)), -1))
    speaking = (last >= 0) & (decided[last] == 1)
    edges = np.flatnonzero(np.diff(speaking.astype(np.int8), prepend=0, append=0)).tolist()
    merged: list[tuple[int, int]] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if merged and (begin - merged[-1][1]) * FRAME < rules.min_pause_seconds * SAMPLE_RATE:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return [(begin, end) for begin, end in merged if (end - begin) * FRAME >= rules.min_speech_seconds * SAMPLE_RATE]
