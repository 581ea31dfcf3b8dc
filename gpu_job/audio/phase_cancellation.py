"""Find stereo files in opposite phase: their channels cancel each other out in a mono mix.

Such files are made by recorders that take a balanced microphone cable for two channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpu_job.audio.ffmpeg import DecoderChild, DecoderFailed, DecoderLimits, read_blocks
from gpu_job.audio.ffmpeg_command import Selection, command
from gpu_job.audio.samples import SAMPLE_RATE

PROBED_SECONDS = 30
"""From the start; takes 40 ms."""

CANCELLED_SHARE = 0.01
"""Share of the energy that is left in the mix: -20 dB. Independent channels leave half of it, equal ones all."""


def louder_of_cancelling_channels(path: Path, limits: DecoderLimits, stream: int | None = None) -> int | None:
    """The louder channel of a stereo file whose mono mix is nearly silent; None where the mix is good or unknown."""
    selection = Selection(split=2, stream=stream)
    energy, mixed = np.zeros(2), 0.0
    child = DecoderChild([command(path, selection, 0, PROBED_SECONDS * SAMPLE_RATE)], limits)
    try:
        for block, _ in read_blocks(child, selection.frame_bytes):
            frames = np.nan_to_num(np.frombuffer(block, "<f4").reshape(-1, 2), posinf=1.0, neginf=-1.0)
            energy += np.square(frames).sum(axis=0)
            mixed += float(np.square(frames.mean(axis=1)).sum())
    except DecoderFailed:
        return None  # decoding the file will report what is wrong with it
    return int(energy.argmax()) if mixed < CANCELLED_SHARE * energy.mean() else None
