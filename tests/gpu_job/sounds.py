"""Synthetic sound for tests: tones, noise, and bursts that rise and fall like syllables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gpu_job.audio import SAMPLE_RATE, Samples


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
