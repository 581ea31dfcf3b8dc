"""Channels: their mix neither clips nor cancels, and each can be had for itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode, decode_channels
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from shared.errors import BadMedia
from tests.support.sounds import make, noise, raw, silence, stated, tone


def level(samples: Samples) -> float:
    """RMS in dB below full scale, without the edges."""
    return float(10 * np.log10(np.square(samples[1000:-1000], dtype=np.float64).mean()))


def mix_of(path: Path, channels: int) -> Samples:
    media = stated(path, "wav", 3.0, channels=channels)
    return np.concatenate(list(decode(path, DecodeOptions(media=media))))


def wave(path: Path, *channels: Samples) -> Path:
    return make(path, *raw(path.with_suffix(".raw"), np.stack(channels, axis=1)), "-c:a", "pcm_f32le")


def test_a_mix_of_equal_channels_is_as_loud_as_each(tmp_path: Path) -> None:
    loud = tone(3, -4.0)
    mix = mix_of(wave(tmp_path / "a.wav", loud, loud), 2)
    assert level(mix) == pytest.approx(-4.0, abs=0.1)
    assert np.abs(mix).max() < 0.95


def test_cinema_sound_at_96_khz_does_not_clip(tmp_path: Path) -> None:
    eight = "|".join(f"c{number}=c0" for number in range(8))
    sound = ("-f", "lavfi", "-i", f"sine=frequency=440:duration=3:sample_rate=96000,volume=7.9,pan=7.1|{eight}")
    path = make(tmp_path / "a.wav", *sound, "-c:a", "pcm_f32le")
    mix = mix_of(path, 8)
    assert len(mix) == pytest.approx(3 * SAMPLE_RATE, abs=32)
    assert 0.3 < np.abs(mix[1000:]).max() <= 1.0
    spectrum = np.abs(np.fft.rfft(mix[SAMPLE_RATE : 2 * SAMPLE_RATE]))
    assert spectrum[440] > 100 * spectrum[3 * 440]  # clipping makes a third harmonic


def test_channels_that_cancel_each_other_are_heard(tmp_path: Path) -> None:
    voice = noise(3, -20.0)
    left = mix_of(wave(tmp_path / "a.wav", voice, -voice), 2)
    louder = mix_of(wave(tmp_path / "b.wav", -0.9 * voice, voice), 2)
    assert level(left) == pytest.approx(-20.0, abs=0.1)
    assert abs(np.corrcoef(louder, voice)[0, 1]) > 0.999
    assert level(louder) == pytest.approx(-20.4, abs=0.1)


def test_one_sided_and_independent_channels_are_mixed(tmp_path: Path) -> None:
    voice, other = noise(3, -20.0), noise(3, -20.0, seed=1)
    assert level(mix_of(wave(tmp_path / "a.wav", voice, silence(3)), 2)) == pytest.approx(-26.0, abs=0.2)
    mix = mix_of(wave(tmp_path / "b.wav", voice, other), 2)
    assert np.abs(mix - (voice + other) / 2).max() < 1e-3
    assert not mix_of(wave(tmp_path / "c.wav", silence(3), silence(3)), 2).any()


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
def test_each_channel_for_itself(tmp_path: Path, channels: int) -> None:
    """Whatever the speaker that the layout gives it."""
    sounds = [noise(2, -20.0, seed=number) for number in range(channels)]
    path = wave(tmp_path / "a.wav", *sounds)
    blocks = list(decode_channels(path, channels))
    assert np.array_equal(np.concatenate(blocks, axis=1), np.stack(sounds))


def test_each_channel_of_a_long_file_for_itself(tmp_path: Path) -> None:
    sounds = [noise(70, -20.0, seed=number) for number in range(2)]
    path = wave(tmp_path / "a.wav", *sounds)
    media = stated(path, "wav", 70.0, channels=2)
    options = DecodeOptions(media=media, parallel=ParallelDecoding(children=2, ahead_seconds=240.0))
    together = np.concatenate(list(decode_channels(path, media.channels, options)), axis=1)
    assert np.array_equal(together, np.stack(sounds))


def test_more_channels_than_speakers_are_not_split(tmp_path: Path) -> None:
    path = wave(tmp_path / "a.wav", silence(1))
    with pytest.raises(BadMedia, match="9 channels; at most 8"):
        list(decode_channels(path, 9))


def test_channels_that_are_stated_and_not_there_are_silent(tmp_path: Path) -> None:
    voice = noise(1, -20.0)
    path = wave(tmp_path / "a.wav", voice)
    both = np.concatenate(list(decode_channels(path, 2)), axis=1)
    assert np.array_equal(both, np.stack([voice, silence(1)]))
