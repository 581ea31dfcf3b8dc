"""Models other than Parakeet TDT: what onnx-asr says of them is passed on, and what it does not say is not made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_asr
import pytest
from onnx_asr.asr import TimestampedResult

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.load_recognizer import RecognizerOptions, load_recognizer
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.model_folder import DECODER_JOINT, ENCODER, Quantization, network_file
from gpu_job.asr.onnx.other_models import tokens_of
from gpu_job.asr.onnx.quantize import quantize
from gpu_job.asr.recognizer import Recognizer
from gpu_job.asr.tokens import Token, words_of
from gpu_job.assembly.assemble import Assembly, chunk_result, transcript_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.findings import Findings
from infra.recordings import recording
from shared.enums import Engine
from shared.errors import EngineFailed, FailureKind
from shared.transcript.model import Transcript
from tests.support.onnx_networks import write_ctc_model, write_rnnt_model
from tests.support.sounds import silence
from tests.support.word_alignment import plain

LIMITS = BatchLimits(16, 320 * SAMPLE_RATE)

PIECES = ["\u2581one", "\u2581two", "\u2581three", "s", ","]


@pytest.fixture
def ctc_folder(tmp_path: Path) -> Path:
    write_ctc_model(tmp_path, PIECES)
    return tmp_path


@pytest.fixture
def ctc(ctc_folder: Path) -> Recognizer:
    return load_recognizer(str(ctc_folder), Engine.PARAKEET_CPU, RecognizerOptions())


@pytest.fixture(scope="module")
def speech() -> Samples:
    return np.concatenate(list(decode(recording("memo.wav").path)))


def transcribed(model: Recognizer, *batch: Samples) -> list[list[Token]]:
    return model.finish(model.run(model.prepare(batch)))


def test_a_ctc_model_says_what_onnx_asr_says(ctc: Recognizer, ctc_folder: Path, speech: Samples) -> None:
    (tokens,) = transcribed(ctc, speech)
    theirs = onnx_asr.load_model("nemo-conformer-ctc", ctc_folder).with_timestamps().recognize(speech)
    assert len(tokens) > 20
    assert [token.text for token in tokens] == theirs.tokens
    assert [token.start for token in tokens] == pytest.approx(theirs.timestamps)
    assert "".join(token.text for token in tokens).split() == theirs.text.replace(" ,", ",").split()


def test_its_tokens_have_times_and_confidences(ctc: Recognizer, speech: Samples) -> None:
    (tokens,) = transcribed(ctc, speech)
    times = [time for token in tokens for time in (token.start, token.end)]
    assert times == sorted(times)
    assert times[-1] <= len(speech) / 16_000
    assert all(0 <= (token.confidence or 0) <= 1 and token.is_timed for token in tokens)
    assert len({token.confidence for token in tokens}) > 5
    assert all(word.confidence is not None for word in words_of(tokens))


@pytest.mark.parametrize("quantization", ["fp32", "int8"])
def test_a_batch_gives_what_chunks_alone_give(ctc_folder: Path, quantization: Quantization, speech: Samples) -> None:
    if quantization == "int8":
        quantize(ctc_folder / "model.onnx", ctc_folder / "model.int8.onnx")
    ctc = load(ctc_folder, quantization, LIMITS)
    batch = [speech, speech[:40_000], 8 * speech[40_000:90_000], silence(0.001)]
    together = transcribed(ctc, *batch)
    for found, samples in zip(together, batch, strict=True):
        (alone,) = transcribed(ctc, samples)
        assert [token[:3] for token in found] == [token[:3] for token in alone]
        sure, known = ([token.confidence or 0.0 for token in each] for each in (found, alone))
        assert np.allclose(sure, known, atol=0.0 if quantization == "int8" else 1e-4)


@pytest.mark.parametrize("quantization", ["fp32", "int8"])
def test_an_rnnt_model_hears_the_words_where_they_are_said(tmp_path: Path, quantization: Quantization) -> None:
    """Without durations the tiny model says words again while they last; every true word is there, in its second."""
    write_rnnt_model(tmp_path / "rnnt")
    if quantization == "int8":
        for name in (ENCODER, DECODER_JOINT):
            quantize(tmp_path / "rnnt" / network_file(name, "fp32"), tmp_path / "rnnt" / network_file(name, "int8"))
    one = recording("memo.wav")
    samples = np.concatenate(list(decode(one.path)))
    (tokens,) = transcribed(load(tmp_path / "rnnt", quantization, LIMITS), samples)
    times = [token.start for token in tokens]
    assert times == sorted(times)
    assert all(0 <= (token.confidence or 0) <= 1 and token.is_timed for token in tokens)
    heard = {(plain(word.text), round(word.start)) for word in words_of(tokens)}
    near = [any((plain(word.word), round(word.start) + shift) in heard for shift in (-1, 0, 1)) for word in one.words]
    assert len(near) > 20
    assert all(near)


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt"])
def test_a_folder_that_lacks_a_part_is_a_load_failure(ctc_folder: Path, name: str) -> None:
    (ctc_folder / name).unlink()
    with pytest.raises(EngineFailed) as caught:
        load(ctc_folder, "fp32", LIMITS)
    assert caught.value.kind is FailureKind.MODEL_LOAD
    assert str(ctc_folder) in caught.value.reason


def test_a_published_model_may_leave_its_type_to_its_name(ctc_folder: Path, speech: Samples) -> None:
    (ctc_folder / "config.json").unlink()
    model = load(ctc_folder, "fp32", LIMITS, name="published", model_type="nemo-conformer-ctc")
    assert model.name == "published"
    assert transcribed(model, speech)[0]


def test_ends_go_no_further_than_the_next_beginning() -> None:
    result = TimestampedResult("a b c", [0.0, 0.04, 1.0], [" a", " b", " c"], [0.0, -0.1, -9.0])
    tokens = tokens_of(result, 1.02)
    assert [token.start for token in tokens] == pytest.approx([0.0, 0.04, 1.0])
    assert [token.end for token in tokens] == pytest.approx([0.04, 0.12, 1.02])
    assert [round(token.confidence or 0, 2) for token in tokens] == [1.0, 0.96, 0.0]


def transcript(tokens: list[Token]) -> Transcript:
    """Of a file with one chunk of 10 s."""
    chunk = Chunk(0, silence(10))
    assembly = Assembly()
    assembly.expect(chunk.start, chunk.end)
    assembly.add(chunk_result(chunk, Engine.PARAKEET_CPU, tokens))
    assembly.end(len(chunk.samples), [[]])
    return transcript_of(
        assembly, [Findings(audited=False)], lambda _: "whisper", job_id="j", source="file:///a", language="en"
    )


def test_a_model_without_times_says_so_in_the_transcript() -> None:
    tokens = tokens_of(TimestampedResult("Ein langesWort da."), 10.0)
    assert [(token.text, token.confidence, token.is_timed) for token in tokens] == [
        (" Ein", None, False),
        (" langesWort", None, False),
        (" da.", None, False),
    ]
    found = transcript(tokens)
    assert found.text == "Ein langesWort da."
    assert [warning.code.value for warning in found.warnings] == ["estimated_times"]
    assert [(round(word.start, 2), word.confidence) for word in found.words] == [
        (0.0, None),
        (1.88, None),
        (8.12, None),
    ]


def test_a_model_with_times_does_not() -> None:
    assert transcript([Token(" word", 1.0, 1.5, 0.99)]).warnings == ()


def test_nothing_heard_is_no_word() -> None:
    assert tokens_of(TimestampedResult(""), 5.0) == []
    assert tokens_of(TimestampedResult("", [], [], []), 5.0) == []
