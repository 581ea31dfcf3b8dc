"""Real recordings in many channels: whoever speaks in whatever channel, in whatever phase, is transcribed."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dropscribe.local_media import inspected
from gpu_job import transcribe
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Frames, Samples
from gpu_job.engines.chain import EngineChain
from infra.recordings import recording
from tests.support.engine_chain import chain_of
from tests.support.sounds import make, music, noise, raw, silence, tone
from tests.support.word_alignment import all_plain

ONE, OTHER = "memo.wav", "lecture.flac"


@pytest.fixture(scope="module")
def engine(tiny_model: OnnxTdt) -> Iterator[EngineChain]:
    chain = chain_of(tiny_model)
    yield chain
    chain.stop()


@cache
def speech(name: str) -> Samples:
    """The head of a shipped recording; it may end in a word."""
    truth = recording(name)
    ends = [before.end for before, after in zip(truth.words, truth.words[1:], strict=False) if after.start > 7.5]
    samples = np.concatenate(list(decode(truth.path)))
    return samples[: round((ends[0] + 0.1) * SAMPLE_RATE)] if ends else samples


def words_of(name: str) -> list[str]:
    end = len(speech(name)) / SAMPLE_RATE
    return all_plain([word.word for word in recording(name).words if word.end <= end])


def without_layout(path: Path, frames: Frames) -> Path:
    """A WAV file that states nothing but the number of its channels."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(frames.shape[1])
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(frames, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def in_channels(sound: Samples, channels: int, places: Sequence[int]) -> Frames:
    frames = np.zeros((len(sound), channels), np.float32)
    frames[:, list(places)] = sound[:, np.newaxis]
    return frames


def heard(engine: EngineChain, path: Path) -> list[str]:
    transcript = transcribe(path, engine=engine, media=inspected(path))
    assert transcript.coverage.gaps == ()
    return all_plain([word.text for word in transcript.words])


PLACES = [
    (6, [3]),
    (3, [2]),
    (10, [8, 9]),
    (24, range(9, 24)),
    *((channels, [channels - 1]) for channels in (9, 11, 13, 15, 17, 18, 20, 24, 32, 60, 64)),
]


@pytest.mark.parametrize(("channels", "places"), PLACES)
def test_a_voice_on_any_channel_of_a_file_without_layout(
    engine: EngineChain, tmp_path: Path, channels: int, places: Sequence[int]
) -> None:
    path = without_layout(tmp_path / "a.wav", in_channels(speech(ONE), channels, places))
    assert heard(engine, path) == words_of(ONE)


@pytest.mark.parametrize("place", range(6))
def test_a_voice_on_any_channel_of_5_1(engine: EngineChain, tmp_path: Path, place: int) -> None:
    """The fourth is the bass channel."""
    frames = in_channels(speech(ONE), 6, [place])
    path = make(tmp_path / "a.flac", *raw(tmp_path / "raw", frames), "-channel_layout", "5.1")
    assert heard(engine, path) == words_of(ONE)


def test_one_voice_among_64_noisy_channels(engine: EngineChain, tmp_path: Path) -> None:
    frames = in_channels(speech(ONE), 64, [40])
    frames += np.random.default_rng(1).standard_normal(frames.shape, np.float32) * np.float32(3e-4)
    assert heard(engine, without_layout(tmp_path / "a.wav", frames)) == words_of(ONE)


@pytest.mark.parametrize(
    "before",
    [silence(0), silence(31), music(2, -20), music(31, -20), tone(31, -93, 50.0)],
    ids=["from the start", "silence", "short jingle", "jingle", "hum"],
)
@pytest.mark.parametrize("channels", [2, 4, 6])
def test_a_voice_in_opposite_phase(engine: EngineChain, tmp_path: Path, before: Samples, channels: int) -> None:
    voice = in_channels(speech(ONE), channels, range(channels))
    voice[:, 1::2] *= -1
    first = in_channels(before, channels, range(channels))
    spoken = heard(engine, without_layout(tmp_path / "a.wav", np.concatenate((first, voice))))
    assert spoken[-len(words_of(ONE)) :] == words_of(ONE)


def test_a_voice_in_opposite_phase_under_noise(engine: EngineChain, tmp_path: Path) -> None:
    voice = speech(ONE)
    level = 20 * np.log10(np.sqrt(np.mean(np.square(voice)))) - 15
    apart = [sign * voice + noise(len(voice) / SAMPLE_RATE + 1, level, sign + 1)[: len(voice)] for sign in (1, -1)]
    alone = heard(engine, without_layout(tmp_path / "alone.wav", np.stack([apart[0]] * 2, axis=1)))
    together = heard(engine, without_layout(tmp_path / "a.wav", np.stack(apart, axis=1)))
    truth = words_of(ONE)
    assert sum(word in together for word in truth) >= sum(word in alone for word in truth)


def test_both_parties_of_a_call_after_hum_in_opposite_phase(engine: EngineChain, tmp_path: Path) -> None:
    """One speaks after the other."""
    hum, one, other = tone(31, -93, 50.0), speech(ONE), speech(OTHER)
    left = np.concatenate((hum, one, np.zeros_like(other)))
    right = np.concatenate((-hum, np.zeros_like(one), other))
    path = without_layout(tmp_path / "a.wav", np.stack((left, right), axis=1))
    truth = words_of(ONE) + words_of(OTHER)
    assert heard(engine, path)[: len(truth)] == truth
