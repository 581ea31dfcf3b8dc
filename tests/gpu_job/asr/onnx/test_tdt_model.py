"""Parakeet on ONNX Runtime: the NeMo path's words, times and confidences, without NeMo."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.model_folder import CONFIG, DECODER_JOINT, ENCODER, VOCABULARY, Quantization, network_file
from gpu_job.asr.onnx.quantize import quantize
from gpu_job.asr.recognizer import Recognizer
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.recordings import Recording, recording, shipped
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from tests.support.sounds import noise, silence

LIMITS = BatchLimits(16, 320 * SAMPLE_RATE)
BATCH = 4


@pytest.fixture(scope="module")
def model() -> Recognizer:
    return load(ONNX_PATH, "fp32", LIMITS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(ONNX_PATH, tmp_path / "model"))


def transcribed(recognizer: Recognizer | Parakeet, batch: list[Samples]) -> list[list[Token]]:
    return recognizer.finish(recognizer.run(recognizer.prepare(batch)))


def cut(one: Recording) -> list[Samples]:
    found = [chunk.samples for chunk in chunks(decode(one.path), CutRules(max_seconds=30.0))]
    return sorted(found, key=len, reverse=True)


def batches(samples: list[Samples]) -> Iterator[list[Samples]]:
    for at in range(0, len(samples), BATCH):
        yield samples[at : at + BATCH]


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one.path.name)
def test_words_times_and_confidences_are_nemos(model: Recognizer, parakeet: Parakeet, one: Recording) -> None:
    compared = 0
    for batch in batches(cut(one)):
        for ours, theirs in zip(transcribed(model, batch), transcribed(parakeet, batch), strict=True):
            assert [token[:3] for token in ours] == [token[:3] for token in theirs]
            sure, known = ([token.confidence or 0.0 for token in tokens] for tokens in (ours, theirs))
            assert np.allclose(sure, known, atol=1e-3)
            compared += len(ours)
    assert compared > 10


@pytest.fixture(scope="module")
def int8_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(ONNX_PATH, tmp_path_factory.mktemp("int8") / "model"))
    for name in (ENCODER, DECODER_JOINT):
        quantize(folder / network_file(name, "fp32"), folder / network_file(name, "int8"))
    return folder


@pytest.mark.parametrize("quantization", ["fp32", "int8"])
def test_the_result_does_not_depend_on_the_batch(int8_folder: Path, quantization: Quantization) -> None:
    """Which chunks wait side by side depends on how fast decoders and engines are."""
    model = load(int8_folder, quantization, LIMITS)
    samples = cut(recording("long_seen"))[:16:2]
    assert len(samples) == 8
    together = transcribed(model, samples)
    for alone, beside in zip(samples, together, strict=True):
        (tokens,) = transcribed(model, [alone])
        assert [token[:3] for token in tokens] == [token[:3] for token in beside]
        sure, known = ([token.confidence or 0.0 for token in each] for each in (tokens, beside))
        assert np.allclose(sure, known, atol=0.0 if quantization == "int8" else 1e-4)


def test_nobody_speaks_in_silence(model: Recognizer) -> None:
    assert transcribed(model, [silence(5), noise(5, -75.0), silence(0.01)]) == [[], [], []]


@pytest.mark.parametrize("length", [1, 159, 160, 400, 1279, 1281, 1600, 4000])
def test_a_chunk_may_be_as_short_as_one_sample(model: Recognizer, parakeet: Parakeet, length: int) -> None:
    speech = cut(recording("memo.wav"))[0][8000 : 8000 + length]
    (ours,), (theirs,) = (transcribed(each, [speech]) for each in (model, parakeet))
    assert [token[:3] for token in ours] == [token[:3] for token in theirs]
    assert all(0 <= token.start <= token.end <= length / SAMPLE_RATE for token in ours)


def test_a_chunk_that_is_too_long_is_told_with_the_setting(model: Recognizer) -> None:
    with pytest.raises(EngineFailed, match="CHUNK_SECONDS"):
        model.prepare([silence(1), silence(400.1)])


def test_chunks_are_left_as_they_were(model: Recognizer) -> None:
    speech = cut(recording("memo.wav"))[0]
    before = speech.copy()
    transcribed(model, [speech])
    assert np.array_equal(speech, before)


def test_the_loader_takes_a_folder_for_what_it_is() -> None:
    loaded = load_recognizer(str(ONNX_PATH), Engine.PARAKEET_CPU, RecognizerOptions(max_chunks=7))
    assert (loaded.engine, loaded.name, loaded.hardware) == (Engine.PARAKEET_CPU, MODEL_PATH.stem, "cpu")
    assert loaded.batch_limits.max_chunks == 7
    (tokens,) = transcribed(loaded, [cut(recording("memo.wav"))[0]])
    assert len(words_of(tokens)) > 5


def test_transcribing_loads_neither_torch_nor_nemo() -> None:
    """Nor is any of them needed: an import would fail here."""
    program = (
        "import sys\n"
        "for name in ('torch', 'nemo', 'librosa', 'onnx', 'silero_vad', 'huggingface_hub'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer\n"
        "from shared.enums import Engine\n"
        f"model = load_recognizer({str(ONNX_PATH)!r}, Engine.PARAKEET_CPU, RecognizerOptions())\n"
        "print(model.finish(model.run(model.prepare([np.zeros(16000, np.float32)]))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[[]]\n"


def test_without_nemo_a_nemo_file_says_what_to_do() -> None:
    program = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'nemo' else find(name, *more)\n"
        "from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer\n"
        "from shared.enums import Engine\n"
        "from shared.errors import EngineFailed\n"
        "try:\n"
        f"    load_recognizer({str(MODEL_PATH)!r}, Engine.PARAKEET_CPU, RecognizerOptions())\n"
        "except EngineFailed as error:\n"
        "    print(error.kind.value, error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(FailureKind.MODEL_LOAD.value)
    assert "dropscribe[gpu]" in done.stdout
    assert "prepare-model" in done.stdout


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        (Engine.PARAKEET_GPU, "auto", "on the CPU only"),
        (Engine.PARAKEET_CPU, "bf16", "bf16"),
        (Engine.PARAKEET_CPU, "int8", network_file(ENCODER, "int8")),
    ],
)
def test_what_a_folder_cannot_give_is_a_load_failure(engine: Engine, precision: str, expected: str) -> None:
    with pytest.raises(EngineFailed) as caught:
        load_recognizer(str(ONNX_PATH), engine, RecognizerOptions(precision=precision))  # type: ignore[arg-type]
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert expected in caught.value.reason


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        (CONFIG, Path.unlink),
        (CONFIG, cut_in_half),
        (CONFIG, lambda path: path.write_text("[]")),
        (CONFIG, lambda path: path.write_text(json.dumps({"model_type": "whisper-of-tomorrow"}))),
        (VOCABULARY, Path.unlink),
        (VOCABULARY, lambda path: path.write_bytes(b"\xff\xfe 0\n")),
        (VOCABULARY, lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))),
        (VOCABULARY, lambda path: path.write_text(f"a 0\nb 2\n{path.read_text()}")),
        (VOCABULARY, lambda path: path.write_text("".join(f"<pad> {n}\n" for n in range(300)) + "<blk> 300\n")),
        (network_file(ENCODER, "fp32"), Path.unlink),
        (network_file(ENCODER, "fp32"), cut_in_half),
        (network_file(DECODER_JOINT, "fp32"), Path.unlink),
        (network_file(DECODER_JOINT, "fp32"), lambda path: path.write_bytes(b"")),
    ],
)
def test_a_folder_that_is_no_whole_model_is_a_load_failure(
    folder: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    spoil(folder / name)
    with pytest.raises(EngineFailed) as caught:
        load(folder, "fp32", LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert str(folder) in caught.value.reason
