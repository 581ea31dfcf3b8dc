"""The audio formats inside the job: float32 samples in [-1, 1] at 16 kHz, mono or in all the channels of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second; what Parakeet was trained on."""

Samples: TypeAlias = NDArray[np.float32]
"""Shape [T], mono, 16 kHz, in [-1, 1]."""

Frames: TypeAlias = NDArray[np.float32]
"""Shape [T, channels], 16 kHz, in [-1, 1]."""


@dataclass(frozen=True, eq=False)
class AudioBlock:
    """Consecutive samples of all channels of a file, as the decoder gives them."""

    samples: Frames
    layout: tuple[str, ...] | None = None
    """FFmpeg's name of each channel ("FL", "FR", "FC", "LFE", "BL", ...); None where the file does not say where they
    belong."""
    is_pause: bool = False
    """Whether it only stands for time in which the file has no sound."""


def seconds(samples: int) -> float:
    """A number of samples -> seconds."""
    return samples / SAMPLE_RATE
