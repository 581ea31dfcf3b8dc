"""Key terms in both decoders: the same words from both, and none else than before where there are no terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.boosting.spelling import Speller
from gpu_job.asr.nemo.boosting import KEPT_TREES, nemo_tree
from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.vocabulary import read_vocabulary
from gpu_job.asr.recognizer import TakesKeyterms
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.tiny_parakeet import ONNX_PATH
from shared.keyterms.terms import Keyterm, parse_keyterms

TERMS = parse_keyterms("the white whale:2; peterborough:3; Oscarine:3; mountains; Winterthur; 東京")


@pytest.fixture(scope="module")
def onnx() -> Any:
    return load(ONNX_PATH, "fp32", BatchLimits(16, 320 * SAMPLE_RATE))


@pytest.fixture(scope="module")
def batch(long_chunks: list[Chunk]) -> list[Samples]:
    return sorted((chunk.samples for chunk in long_chunks[:8]), key=len, reverse=True)


def boosted(recognizer: Any, batch: list[Samples], terms: list[tuple[Keyterm, ...]]) -> list[list[Token]]:
    assert isinstance(recognizer, TakesKeyterms)
    tokens: list[list[Token]] = recognizer.finish(recognizer.run(recognizer.prepare_with_keyterms(batch, terms)))
    return tokens


def text(tokens: list[Token]) -> str:
    return " ".join(word.text for word in words_of(tokens))


def test_beside_terms_of_others_every_token_is_as_before(parakeet: Parakeet, onnx: Any, batch: list[Samples]) -> None:
    for recognizer in (parakeet, onnx):
        plain = recognizer.transcribe(batch)
        mixed = boosted(recognizer, batch, [TERMS if row % 2 else () for row in range(len(batch))])
        assert mixed[::2] == plain[::2]
        assert recognizer.transcribe(batch) == plain


def test_both_decoders_write_the_same(parakeet: Parakeet, onnx: Any, batch: list[Samples]) -> None:
    strong = tuple(term.model_copy(update={"weight": 5.0}) for term in TERMS)
    terms = [(), TERMS, strong, strong, TERMS, strong, (), strong]
    nemos, ours, plain = boosted(parakeet, batch, terms), boosted(onnx, batch, terms), parakeet.transcribe(batch)
    assert sum(text(one) != text(other) for one, other in zip(nemos, plain, strict=True)) >= 2
    for one, other in zip(nemos, ours, strict=True):
        assert [token[:3] for token in one] == [token[:3] for token in other]
        sure, known = ([token.confidence or 0.0 for token in tokens] for tokens in (one, other))
        assert np.allclose(sure, known, atol=1e-3)


def test_a_token_has_the_confidence_that_it_has_without_its_bonus(parakeet: Parakeet, batch: list[Samples]) -> None:
    term = (Keyterm(phrase="the white whale", weight=5.0),)
    plain, found = parakeet.transcribe(batch), boosted(parakeet, batch, [term] * len(batch))
    changed = [
        (before.confidence or 0.0, after.confidence or 0.0)
        for one, other in zip(plain, found, strict=True)
        for before, after in zip(one, other, strict=False)
        if before.text != after.text and before.start == after.start
    ]
    first = changed[0]
    assert first[1] < first[0]
    assert min(after for _, after in changed) < 0.3


def test_nemos_tree_is_ours(parakeet: Parakeet) -> None:
    tree = Speller(read_vocabulary(ONNX_PATH / "vocab.txt")).spell(TERMS).tree
    assert tree is not None
    states = len(tree.depths)
    with torch.inference_mode():
        scores, targets = nemo_tree(tree).advance(torch.arange(states))
    for state in range(states):
        bonuses, after = tree.bonuses(state)
        assert scores[state].numpy() == pytest.approx(bonuses, abs=1e-5)
        assert targets[state].numpy().tolist() == after.tolist()


def test_more_lists_than_are_kept(parakeet: Parakeet, batch: list[Samples]) -> None:
    short = batch[-1:]
    (first,) = boosted(parakeet, short, [TERMS])
    for number in range(KEPT_TREES + 5):
        boosted(parakeet, short, [parse_keyterms(f"mountains; gardener:{1 + number / 20:g}")])
    assert boosted(parakeet, short, [TERMS]) == [first]


def test_terms_that_cannot_be_spelled_change_nothing(parakeet: Parakeet, onnx: Any, batch: list[Samples]) -> None:
    terms = parse_keyterms("東京; Ωμέγα")
    for recognizer in (parakeet, onnx):
        assert recognizer.left_out(terms) == (("東京", "Ωμέγα"), "The model never writes some of their characters.")
        assert boosted(recognizer, batch[:2], [terms] * 2) == recognizer.transcribe(batch[:2])


def test_where_the_decoder_for_terms_breaks_words_come_without_them(
    parakeet: Parakeet, batch: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("no such kernel")

    monkeypatch.setattr("gpu_job.asr.nemo.parakeet.BoostedDecoder", broken)
    own = Parakeet(parakeet.model, "own", parakeet.device, ParakeetLimits(16, 640, 80))
    assert boosted(own, batch[-2:], [TERMS] * 2) == parakeet.transcribe(batch[-2:])
    phrases, reason = own.left_out(TERMS)
    assert len(phrases) == len(TERMS)
    assert "failed (TypeError)" in reason
