"""Run Silero's network on ONNX Runtime: the probability of speech in each frame of 32 ms, for a whole window.

The file beside this module holds the weights of the `silero-vad` package in a graph that sees all frames of a block at
once; `tools/silero_vad/make_network.py` makes it. Silero's licence is in `silero_vad_16k.LICENSE`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gpu_job.audio.samples import Samples
from gpu_job.onnx_sessions import open_session
from gpu_job.vad.segments import FRAME

NETWORK = Path(__file__).with_name("silero_vad_16k.onnx")

CONTEXT = 64
"""Samples of the frame before that the network sees with each frame."""

STATE = 128
"""Width of the recurrent layer."""

_FRAMES_AT_ONCE = 256
"""8 s; bounds the memory of the spectrum to about 3 MB, which stays in the cache."""


class Silero:
    """Silero VAD 6 at 16 kHz; may be called from any thread, and computes on the calling one."""

    def __init__(self) -> None:
        self._session = open_session(NETWORK)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Samples, at least one -> [frames]. The last frame is filled up with silence."""
        padded = np.pad(samples, (CONTEXT, -len(samples) % FRAME))
        frames = sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
        hidden = cell = np.zeros((1, 1, STATE), np.float32)
        found = []
        for at in range(0, len(frames), _FRAMES_AT_ONCE):
            block = {"frames": np.ascontiguousarray(frames[at : at + _FRAMES_AT_ONCE]), "hidden": hidden, "cell": cell}
            speech, hidden, cell = self._session.run(None, block)
            found.append(speech)
        return np.concatenate(found)
