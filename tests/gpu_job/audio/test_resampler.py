"""The resampler: its samples are the same however the sound came in frames, and it hands them on as it goes."""

from __future__ import annotations

import numpy as np
import pytest
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, format_of
from gpu_job.audio.decoder.resampler import MAX_BLOCK_SAMPLES, Resampler

RATE = 44_100


def frames_of(sound: NDArray[np.float32], lengths: list[int]) -> list[AudioFrame]:
    """Stereo frames of these lengths, over and over, until the sound is over."""
    frames, at = [], 0
    while at < sound.shape[1]:
        part = sound[:, at : at + lengths[len(frames) % len(lengths)]]
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        frames.append(frame)
        at += part.shape[1]
    return frames


def resampled(frames: list[AudioFrame], **more: int) -> tuple[NDArray[np.float32], int]:
    """The samples, [T, 2], and how many of them came before the end."""
    resampler = Resampler(format_of(frames[0]), **more)
    blocks = [bytes(block) for frame in frames for block in resampler.push(frame, frame.samples)]
    early = sum(map(len, blocks)) // 8
    blocks += [bytes(block) for block in resampler.finish()]
    return np.frombuffer(b"".join(blocks), np.float32).reshape(-1, 2), early


@pytest.mark.parametrize("more", [{}, {"leading_silence": 77}, {"skipped": 1000}])
def test_the_samples_do_not_depend_on_the_frames(more: dict[str, int]) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 5 * RATE + 123)).astype(np.float32)
    small, early = resampled(frames_of(sound, [1152]), **more)
    length = sound.shape[1] + more.get("leading_silence", 0) - more.get("skipped", 0)
    assert abs(len(small) - length * OUTPUT_RATE / RATE) <= 1
    for lengths in ([960, 1, 4096], [3 * MAX_BLOCK_SAMPLES], [sound.shape[1]]):
        assert np.array_equal(resampled(frames_of(sound, lengths), **more)[0], small)
    # What a crash can take is little more than a block.
    assert len(small) - early < 2.5 * OUTPUT_RATE
