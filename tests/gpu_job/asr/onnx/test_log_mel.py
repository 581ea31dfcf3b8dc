"""Log-mel features: NeMo's own, for chunks of any length and loudness."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.onnx.log_mel import HOP, log_mel, log_mel_batch, mel_bands
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import Samples
from tests.support.sounds import noise, silence, tone

TOLERANCE, MEAN_TOLERANCE = 5e-3, 1e-4
"""Of features with deviation 1. Both compute in fp32, and an all but empty band's logarithms differ by few of its
steps of 2e-6, which normalisation makes of size 1: there the tolerance is reached."""


def by_nemo(parakeet: Parakeet, samples: Samples) -> np.ndarray:
    with torch.inference_mode():
        features, frames = parakeet.model.preprocessor(
            input_signal=torch.from_numpy(samples)[None], length=torch.tensor([len(samples)])
        )
    return features[0, :, : int(frames)].numpy()


def equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    off = np.abs(ours - theirs)
    return ours.shape == theirs.shape and off.max() < TOLERANCE and off.mean() < MEAN_TOLERANCE


def test_the_bands_are_those_of_the_model(parakeet: Parakeet) -> None:
    assert np.allclose(mel_bands(128), parakeet.model.preprocessor.featurizer.fb[0].numpy(), atol=1e-8)


def test_speech_has_nemos_features(parakeet: Parakeet, long_chunks: list[Chunk]) -> None:
    for chunk in long_chunks[:6]:
        for loudness in (1.0, 0.01):
            samples = chunk.samples * np.float32(loudness)
            assert equal(log_mel(samples, 128), by_nemo(parakeet, samples))


@pytest.mark.parametrize("length", [1600, 1601, 1759, 1760, 16_000, 330_001])
def test_a_chunk_may_have_any_length(parakeet: Parakeet, length: int) -> None:
    samples = noise(length / 16_000 + 1, -30)[:length]
    assert equal(log_mel(samples, 128), by_nemo(parakeet, samples))


def test_a_tone_leaves_most_bands_empty(parakeet: Parakeet) -> None:
    sound = tone(2, -20)
    assert equal(log_mel(sound, 128), by_nemo(parakeet, sound))


def test_silence_has_no_feature_out_of_range() -> None:
    """All of it is rounding, with NeMo, too."""
    assert np.abs(log_mel(silence(2), 128)).max() < 1


def test_one_frame_has_no_deviation() -> None:
    assert not log_mel(noise(1, -20)[:HOP], 128).any()


def test_a_batch_is_padded_with_zeros_and_its_chunks_are_as_alone() -> None:
    batch = [noise(3, -20), tone(1, -20), silence(0.01)]
    features, frames = log_mel_batch(batch, 80, 1600)
    assert features.shape == (3, 80, 300)
    assert frames.tolist() == [300, 100, 10]
    for row, count, samples in zip(features[:2], frames, batch, strict=False):
        assert np.array_equal(row[:, :count], log_mel(samples, 80))
        assert not row[:, count:].any()


def test_samples_are_left_as_they_were() -> None:
    samples = noise(1, -20)
    before = samples.copy()
    log_mel(samples, 128)
    assert np.array_equal(samples, before)
