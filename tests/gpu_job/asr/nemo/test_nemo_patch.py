"""The correction to NeMo's decoder: a chunk's words and times do not depend on its batch companions."""

from __future__ import annotations

import inspect
import random
import textwrap
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from nemo.collections.asr.parts.preprocessing import features

from gpu_job.asr.nemo.nemo_patch import LOOP, RIGHT, WRONG, NemoChanged, apply, corrected, without_wait
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk
from shared.errors import FailureKind

DecoderOutput = list[tuple[str, float, float]]


def in_batches(parakeet: Parakeet, chunks: Sequence[Chunk], size: int) -> dict[int, DecoderOutput]:
    """The words of each chunk, by its start."""
    found: dict[int, DecoderOutput] = {}
    for first in range(0, len(chunks), size):
        batch = chunks[first : first + size]
        answers = parakeet.transcribe([chunk.samples for chunk in batch])
        found |= {chunk.start: _heard(tokens) for chunk, tokens in zip(batch, answers, strict=True)}
    return found


def _heard(tokens: Sequence[Token]) -> DecoderOutput:
    return [(word.text, round(word.start, 6), round(word.end, 6)) for word in words_of(tokens)]


@pytest.fixture(scope="module")
def some_chunks(short_chunks: list[Chunk]) -> list[Chunk]:
    return short_chunks[:24]


@pytest.fixture(scope="module")
def alone(parakeet: Parakeet, some_chunks: list[Chunk]) -> dict[int, DecoderOutput]:
    return in_batches(parakeet, some_chunks, 1)


def installed_source() -> str:
    """NeMo's own file: the class in this process may be mended already."""
    from nemo.collections.asr.parts.submodules.transducer_decoding import tdt_label_looping

    module = inspect.getsource(tdt_label_looping)
    start = module.index("    def torch_impl(")
    return textwrap.dedent(module[start : module.index("\n    def ", start + 1)])


def test_the_correction_fits_the_installed_nemo() -> None:
    source = installed_source()
    mended = corrected(source)
    assert RIGHT in mended
    assert mended.replace(RIGHT, WRONG) == source
    with pytest.raises(NemoChanged):
        corrected(mended)


@pytest.mark.parametrize(
    "change",
    [
        lambda source: source.replace(WRONG, WRONG.replace("durations =", "spans =")),
        lambda source: source.replace(LOOP, "while bool(advance_mask.any()):"),
        lambda source: source.replace(WRONG, f"{WRONG}; {WRONG}"),
        lambda source: f"{source}\n    {LOOP}\n        pass",
        lambda source: "",
    ],
    ids=["line", "loop", "line twice", "loop twice", "nothing"],
)
def test_a_changed_nemo_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(NemoChanged) as caught:
        corrected(change(installed_source()))
    assert caught.value.kind is FailureKind.MODEL_LOAD


def test_applying_it_twice_changes_nothing_more() -> None:
    from nemo.collections.asr.parts.submodules.transducer_decoding.tdt_label_looping import (
        GreedyBatchedTDTLabelLoopingComputer as Computer,
    )

    apply()
    first = Computer.torch_impl
    apply()
    assert Computer.torch_impl is first


@pytest.mark.parametrize("size", [4, 16])
def test_words_and_times_are_those_of_the_chunk_alone(
    parakeet: Parakeet, some_chunks: list[Chunk], alone: dict[int, DecoderOutput], size: int
) -> None:
    shuffled = random.Random(size).sample(some_chunks, len(some_chunks))
    assert in_batches(parakeet, shuffled, size) == alone


def test_word_ends_never_overlap(alone: dict[int, DecoderOutput]) -> None:
    for words in alone.values():
        assert words
        for (_, start, end), (_, following, _) in pairwise(words):
            assert start <= end <= following + 1e-6


def test_without_the_correction_ends_differ(
    parakeet: Parakeet,
    some_chunks: list[Chunk],
    alone: dict[int, DecoderOutput],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tests above would otherwise prove nothing."""
    from nemo.collections.asr.parts.submodules.transducer_decoding import tdt_label_looping

    names: dict[str, object] = {}
    exec(compile(installed_source(), "as installed", "exec"), vars(tdt_label_looping), names)
    monkeypatch.setattr(tdt_label_looping.GreedyBatchedTDTLabelLoopingComputer, "torch_impl", names["torch_impl"])
    chunks = some_chunks[:8]
    together, each = in_batches(parakeet, chunks, 8), in_batches(parakeet, chunks, 1)
    assert _starts(together) == _starts(each), "texts or starts differ"
    assert together != each, "ends are right: NeMo was corrected, and nemo_patch can go"
    assert each == {chunk.start: alone[chunk.start] for chunk in chunks}


def _starts(found: dict[int, DecoderOutput]) -> dict[int, list[tuple[str, float]]]:
    return {chunk: [(text, start) for text, start, _ in words] for chunk, words in found.items()}


def test_the_spectrogram_is_made_without_a_look_at_what_the_gpu_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """NeMo asks the GPU in every batch whether a chunk has one frame only, and refuses such; then it has to wait."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: False)
    apply()
    frames = torch.arange(12, dtype=torch.float32).reshape(2, 2, 3)
    normalized, mean, _ = features.normalize_batch(frames, torch.tensor([1, 3]), "per_feature")
    assert mean.tolist() == [[0.0, 3.0], [7.0, 10.0]]
    assert torch.isfinite(normalized).all()


def test_a_spectrogram_that_is_made_in_another_way_is_not_mended() -> None:
    with pytest.raises(NemoChanged):
        without_wait("def normalize_batch(x, seq_len, normalize_type): ...")
