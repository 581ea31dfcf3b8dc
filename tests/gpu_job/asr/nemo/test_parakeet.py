"""Parakeet on the tiny model: true words at true times, whatever the chunk, and one error where it cannot load."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from kaldialign import edit_distance

from gpu_job.asr.device import Device, Precision, accelerator, best_device, multiplies_bf16
from gpu_job.asr.memory import GIB, Architecture, Attention, MemoryBudget, MemoryModel
from gpu_job.asr.nemo.parakeet import SLICE_SAMPLES, Parakeet, ParakeetLimits, memory_of
from gpu_job.asr.tokens import words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import Recording, recording
from infra.tiny_parakeet import MODEL_PATH
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.transcript.model import Word
from tests.support.sounds import noise, silence
from tests.support.word_alignment import plain

LIMITS = ParakeetLimits(max_chunks=16, gpu_audio_seconds=640, cpu_audio_seconds=80)


def samples_of(one: Recording) -> Samples:
    return np.concatenate(list(decode(one.path)))


def words_in(parakeet: Parakeet, *batch: Samples) -> list[list[Word]]:
    return [words_of(tokens) for tokens in parakeet.transcribe(batch)]


def error_rate(one: Recording, words: list[Word]) -> float:
    truth = [plain(word.word) for word in one.words]
    found = [plain(word.text) for word in words]
    return float(edit_distance(truth, found)["total"]) / len(truth)


def _layers(network: torch.nn.Module) -> list[torch.nn.Module]:
    """The parts that compute; a metric beside them may be in any mode."""
    return [part for name, part in network.named_modules() if not name.startswith("wer")]


def in_order(words: list[Word], seconds: float) -> bool:
    times = [time for word in words for time in (word.start, word.end)]
    return times == sorted(times) and all(0 <= time <= seconds + 0.1 for time in times)


@pytest.mark.parametrize("name", ["call.opus", "lecture.flac", "memo.wav", "podcast.mp3"])
def test_the_words_of_a_recording_at_their_times(parakeet: Parakeet, name: str) -> None:
    one = recording(name)
    (words,) = words_in(parakeet, samples_of(one))
    assert error_rate(one, words) <= 0.1
    assert in_order(words, one.duration)
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in words)
    truth: dict[str, list[float]] = {}
    for each in one.words:
        truth.setdefault(plain(each.word), []).append(each.start)
    off = [min(abs(start - word.start) for start in truth.get(plain(word.text), [word.start])) for word in words]
    assert float(np.median(off)) < 0.12
    assert float(np.quantile(off, 0.95)) < 0.3


def test_nobody_speaks_in_silence(parakeet: Parakeet) -> None:
    assert parakeet.transcribe([silence(5), silence(0.01), noise(5, -75.0)]) == [[], [], []]


@pytest.mark.parametrize("length", [1, 159, 160, 400, 1279, 1281, 1600, 4000])
def test_a_chunk_may_be_as_short_as_one_sample(parakeet: Parakeet, length: int) -> None:
    speech = samples_of(recording("memo.wav"))[8000 : 8000 + length]
    (words,) = words_in(parakeet, speech)
    assert in_order(words, max(0.1, length / SAMPLE_RATE))


def test_a_short_chunk_takes_nothing_from_its_companions(parakeet: Parakeet) -> None:
    one = samples_of(recording("memo.wav"))
    ((alone,), (_, beside)) = words_in(parakeet, one), words_in(parakeet, one[:1], one)
    assert [word.text for word in beside] == [word.text for word in alone]


def test_chunks_are_left_as_they_were(parakeet: Parakeet) -> None:
    speech = samples_of(recording("memo.wav"))
    before = speech.copy()
    first, second = parakeet.transcribe([speech]), parakeet.transcribe([speech])
    assert np.array_equal(speech, before)
    assert first == second


def test_the_model_stays_in_inference_mode(parakeet: Parakeet) -> None:
    parakeet.transcribe([silence(1)])
    model = parakeet.model
    assert not any(
        part.training for network in (model, model.encoder, model.decoder, model.joint) for part in _layers(network)
    )


def test_the_engine_is_named_after_its_device(parakeet: Parakeet) -> None:
    assert parakeet.engine is Engine.PARAKEET_CPU
    assert parakeet.name == MODEL_PATH.stem
    assert parakeet.batch_limits.max_samples == 80 * SAMPLE_RATE


def test_half_precision_hears_the_same_words(parakeet: Parakeet) -> None:
    half = Parakeet.load(str(MODEL_PATH), LIMITS, Device("cpu", torch.bfloat16))
    one = recording("memo.wav")
    ((whole,), (halved,)) = (words_in(model, samples_of(one)) for model in (parakeet, half))
    assert [word.text for word in halved] == [word.text for word in whole]
    assert all(word.confidence is not None and 0 <= word.confidence <= 1 for word in halved)


@pytest.mark.parametrize("content", [None, b"", b"not a tar file", MODEL_PATH.read_bytes()[:100_000]])
def test_a_file_that_is_no_model_is_a_load_failure(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.nemo"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineFailed) as caught:
        Parakeet.load(str(path), LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert "model.nemo" in caught.value.reason


def test_a_published_name_that_cannot_be_fetched_is_a_load_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # huggingface_hub reads HF_HUB_OFFLINE when it is imported, which other tests have seen to.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.CRITICAL), pytest.raises(EngineFailed) as caught:
        Parakeet.load("nobody/parakeet-of-nowhere", LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert "nobody/parakeet-of-nowhere" in caught.value.reason


@pytest.mark.parametrize("lengths", [[5], [22] * 3 + [5] * 16, [30] * 6, [100, 100, 1], [1] * 40])
def test_on_a_cpu_the_encoder_sees_little_at_once(parakeet: Parakeet, lengths: list[int]) -> None:
    prepared = parakeet.prepare([silence(length) for length in lengths])
    assert [int(length) for part in prepared.slices for length in part.lengths] == [
        length * SAMPLE_RATE for length in lengths
    ]
    for signal, _ in prepared.slices:
        assert len(signal) == 1 or signal.numel() <= SLICE_SAMPLES
    assert len(prepared.slices) == 1 or sum(lengths) * SAMPLE_RATE > SLICE_SAMPLES // 2


def test_stages_of_several_batches_may_overlap(parakeet: Parakeet, long_chunks: list[Chunk]) -> None:
    batches = [[chunk.samples for chunk in long_chunks[first : first + 2]] for first in (0, 2, 4)]
    prepared = [parakeet.prepare(batch) for batch in batches]
    outputs = [parakeet.run(batch) for batch in prepared]
    with ThreadPoolExecutor(3) as threads:
        finished = list(threads.map(parakeet.finish, outputs))
    assert finished == [parakeet.transcribe(batch) for batch in batches]


def test_the_memory_model_knows_the_model(parakeet: Parakeet) -> None:
    memory = memory_of(parakeet.model, parakeet.device)
    assert memory.architecture == Architecture(parameters=1_509_398, mels=128, channels=32, width=112, heads=4)
    assert (memory.value_bytes, memory.attention) == (4, Attention.SDPA)


@pytest.mark.parametrize(("precision", "dtype"), [(Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16)])
def test_a_set_precision_is_kept(precision: Precision, dtype: torch.dtype) -> None:
    assert best_device(precision) == Device(accelerator(), dtype)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about CPUs")
def test_on_a_cpu_only_large_models_run_in_bf16_and_only_where_it_is_fast() -> None:
    large = best_device(parameters=600_000_000).dtype
    assert large is (torch.bfloat16 if multiplies_bf16("cpu") else torch.float32)
    assert best_device(parameters=1_500_000).dtype is torch.float32


@pytest.mark.parametrize("loaded", [False, True])
def test_weights_that_are_on_the_gpu_already_are_not_subtracted_twice(
    monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    memory = MemoryModel(Architecture(), 2, Attention.SDPA)
    taken = memory.weights if loaded else 0
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (15 * GIB - taken, 16 * GIB))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: taken)
    limits = LIMITS.of(Device("cuda", torch.bfloat16), memory)
    assert limits.memory == MemoryBudget(memory, 15 * GIB)
