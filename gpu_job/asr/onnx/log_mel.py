"""NeMo's log-mel features in numpy: what `AudioToMelSpectrogramPreprocessor` computes, without torch.

Pre-emphasis 0.97, frames of 25 ms every 10 ms under a symmetric Hann window, power spectrum, Slaney mel bands, log, and
mean and deviation of every band over the chunk's own frames (`per_feature`). Held to NeMo by a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples

HOP = SAMPLE_RATE // 100
"""Samples per frame."""

_FFT = 512
_WINDOW = SAMPLE_RATE // 40
_PREEMPHASIS = np.float32(0.97)
_LOG_GUARD = np.float32(2.0**-24)
"""Added before the logarithm, as NeMo does."""
_DEVIATION_GUARD = np.float32(1e-5)
_FRAMES_AT_ONCE = 2048
"""20 s: windows and spectrum then stay within 10 MB."""

Floats = NDArray[np.float32]


def log_mel_batch(batch: Sequence[Samples], bands: int, min_samples: int) -> tuple[Floats, NDArray[np.int64]]:
    """Chunks -> features [chunks, bands, frames of the longest], padded with zeros, and how many frames count.

    A chunk shorter than `min_samples` is filled up with silence.
    """
    features = [log_mel(_filled(samples, min_samples), bands) for samples in batch]
    frames = np.array([each.shape[1] for each in features], np.int64)
    padded = np.zeros((len(features), bands, int(frames.max())), np.float32)
    for row, each in zip(padded, features, strict=True):
        row[:, : each.shape[1]] = each
    return padded, frames


def log_mel(samples: Samples, bands: int) -> Floats:
    """Samples, at least HOP of them -> [bands, frames], a frame for every whole HOP."""
    emphasized = np.zeros(len(samples) + _FFT, np.float32)
    middle = emphasized[_FFT // 2 : -_FFT // 2]
    middle[:] = samples
    middle[1:] -= _PREEMPHASIS * samples[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(emphasized, _FFT)[::HOP][: len(samples) // HOP]
    features = np.concatenate([_log_bands(frames[at : at + _FRAMES_AT_ONCE], bands) for at in _blocks(len(frames))], 1)
    features -= features.mean(axis=1, keepdims=True)
    # With one frame there is no deviation: NeMo takes it for zero.
    deviation = np.sqrt((features**2).sum(axis=1, keepdims=True) / np.float32(max(1, len(frames) - 1)))
    normalized: Floats = features / (deviation + _DEVIATION_GUARD)
    return normalized


def _blocks(frames: int) -> range:
    return range(0, frames, _FRAMES_AT_ONCE)


def _log_bands(frames: Floats, bands: int) -> Floats:
    """[frames, _FFT] -> [bands, frames]."""
    spectrum = np.fft.rfft(frames * _window())
    power = spectrum.real**2 + spectrum.imag**2
    logs: Floats = np.log(mel_bands(bands) @ power.T + _LOG_GUARD)
    return logs


@cache
def _window() -> Floats:
    margin = (_FFT - _WINDOW) // 2
    return np.pad(np.hanning(_WINDOW), margin).astype(np.float32)


@cache
def mel_bands(bands: int) -> Floats:
    """Slaney's triangles, of equal area, from 0 Hz to half the sample rate -> [bands, frequencies]."""
    edges = _hertz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE / 2), bands + 2))
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, _FFT // 2 + 1)
    distances, widths = edges[:, None] - frequencies, np.diff(edges)[:, None]
    triangles = np.maximum(0.0, np.minimum(-distances[:-2] / widths[:-1], distances[2:] / widths[1:]))
    weights: Floats = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return weights


_LINEAR_HERTZ, _LINEAR_MELS = 1000.0, 15.0
"""Slaney's scale is linear up to here, and logarithmic above."""
_LOG_STEP = np.log(6.4) / 27.0


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HERTZ:
        return hertz * _LINEAR_MELS / _LINEAR_HERTZ
    return float(_LINEAR_MELS + np.log(hertz / _LINEAR_HERTZ) / _LOG_STEP)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _LINEAR_HERTZ * np.exp(_LOG_STEP * (mels - _LINEAR_MELS))
    return np.where(mels < _LINEAR_MELS, mels * _LINEAR_HERTZ / _LINEAR_MELS, above)


def _filled(samples: Samples, least: int) -> Samples:
    return samples if len(samples) >= least else np.pad(samples, (0, least - len(samples)))
