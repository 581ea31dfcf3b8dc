"""Detect speech in a window of samples, by Silero's voice activity detector."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import Samples, seconds
from gpu_job.vad.segments import FRAME, VadThresholds, speech_segments

if TYPE_CHECKING:
    from gpu_job.vad.silero import Silero


class SpeechDetector:
    """Stateless: any number of threads may use one detector at once."""

    def speech(self, samples: Samples, rules: VadThresholds | None = None) -> list[tuple[float, float]]:
        """Segments of speech as (start, end), in seconds from the first sample."""
        segments = speech_segments(self.probabilities(samples), rules or VadThresholds())
        return [(seconds(begin * FRAME), seconds(min(end * FRAME, len(samples)))) for begin, end in segments]

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Probability of speech in each frame -> [frames]. The last frame may be part silence."""
        if len(samples) == 0:
            return np.zeros(0, np.float32)
        return self._network.probabilities(samples)

    @cached_property
    def _network(self) -> Silero:
        # At the first query: most uploads are being fetched by then.
        from gpu_job.vad.silero import Silero

        return Silero()
