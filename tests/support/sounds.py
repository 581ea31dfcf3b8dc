"""Synthetic sound for tests: tones, noise, and bursts that rise and fall like syllables."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import imageio_ffmpeg
import numpy as np

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import shipped
from shared.media import Media

SHIPPED = frozenset(str(one.path) for one in shipped())
KEPT_FILES = 24
"""A test file makes up to so many; each has a few megabytes at most."""


def tone(seconds: float, db: float, hertz: float = 440.0) -> Samples:
    """A sine of this RMS level, in dB below full scale."""
    return tone_of(int(seconds * SAMPLE_RATE), db, hertz)


def tone_of(samples: int, db: float, hertz: float = 440.0) -> Samples:
    """As `tone`, its length in samples."""
    peak = 10.0 ** (db / 20) * np.sqrt(2)
    wave: Samples = (peak * np.sin(2 * np.pi * hertz / SAMPLE_RATE * np.arange(samples))).astype(np.float32)
    return wave


def noise(seconds: float, db: float, seed: int = 0) -> Samples:
    """White noise of this RMS level."""
    wave = np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE), dtype=np.float32)
    loud: Samples = (wave * 10.0 ** (db / 20)).astype(np.float32)
    return loud


def music(seconds: float, db: float, seed: int = 0) -> Samples:
    """Two plucked chords a second, of this RMS level."""
    rng, time = np.random.default_rng(seed), np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    chords = []
    for root in 220 * 2 ** (rng.integers(0, 12, int(seconds * 2)) / 12):
        partials = [np.sin(2 * np.pi * root * step * n * time) / n for step in (1, 1.25, 1.5) for n in range(1, 6)]
        chords.append(np.sum(partials, axis=0) * np.exp(-3 * time))
    wave = np.concatenate(chords)
    loud: Samples = (wave * 10.0 ** (db / 20) / np.sqrt(np.mean(wave**2))).astype(np.float32)
    return loud


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def blocks(samples: Samples, lengths: Iterable[int]) -> Iterator[Samples]:
    """The samples in blocks of these lengths, and the rest in one."""
    at = 0
    for length in lengths:
        yield samples[at : at + length]
        at += length
    yield samples[at:]


def make(path: Path, *arguments: str) -> Path:
    """A media file from the same ffmpeg that decodes.

    Where shipped recordings and ffmpeg's own sources alone go into it, the latest such files are not made again.
    """
    if all(os.sep not in one or one in SHIPPED for one in arguments):
        path.write_bytes(_made(path.suffix, arguments))
    else:
        _run_ffmpeg(*arguments, str(path))
    return path


@lru_cache(maxsize=KEPT_FILES)
def _made(suffix: str, arguments: tuple[str, ...]) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        _run_ffmpeg(*arguments, str(path))
        return path.read_bytes()


def _run_ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def raw(path: Path, frames: Samples, rate: int = SAMPLE_RATE) -> tuple[str, ...]:
    """ffmpeg's arguments for this sound as input, shape [T] or [T, channels], written to `path`."""
    path.write_bytes(frames.astype("<f4").tobytes())
    channels = 1 if frames.ndim == 1 else frames.shape[1]
    return ("-f", "f32le", "-ar", str(rate), "-ac", str(channels), "-i", str(path))


def stated(
    path: Path, container: str, seconds: float, *, codec: str = "any", channels: int = 1, picture: bool = False
) -> Media:
    """What inspection would say of a file that states this length."""
    return Media(
        container=container,
        codec=codec,
        duration_seconds=seconds,
        sample_rate_hz=44_100,
        channels=channels,
        size_bytes=path.stat().st_size,
        has_video=picture,
    )
