"""The audio format inside the job: mono float32 samples in [-1, 1] at 16 kHz."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second; what Parakeet was trained on."""

Samples: TypeAlias = NDArray[np.float32]
"""Shape [T], mono, 16 kHz, in [-1, 1]."""


def seconds(samples: int) -> float:
    """A number of samples -> seconds."""
    return samples / SAMPLE_RATE
