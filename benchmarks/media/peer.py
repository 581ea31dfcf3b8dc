"""The independent decoder: the ffmpeg program, told which track and channel to take, without clock or mix."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from gpu_job.audio.decode import sanitized
from gpu_job.audio.samples import SAMPLE_RATE, Samples

PEER_SECONDS = 60.0
"""Longest that it may take."""


def peer_decode(ffmpeg: str, path: Path, track: int, channels: tuple[int, ...]) -> Samples | None:
    """All samples of the track that it decodes, one after the other, shape [T] at 16 kHz; None where it reads nothing.

    The mix of the channels that are known to hold sound.
    """
    mix = "+".join(f"c{channel}" for channel in channels)
    command = [ffmpeg, "-v", "error", "-nostdin", "-threads", "1", "-i", f"file:{path}", "-map", f"0:a:{track}"]
    form = ["-af", f"pan=mono|c0={mix},aresample={SAMPLE_RATE}", "-f", "f32le", "pipe:1"]
    try:
        ran = subprocess.run([*command, *form], capture_output=True, timeout=PEER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    samples = np.frombuffer(ran.stdout[: len(ran.stdout) // 4 * 4], "<f4")
    # Damaged samples of floating point may be anything.
    return sanitized(samples) if len(samples) else None
