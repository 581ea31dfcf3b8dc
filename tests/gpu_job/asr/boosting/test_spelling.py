"""Phrases become the tokens that the model's own tokenizer makes of them."""

from __future__ import annotations

import io
import random

import pytest
import sentencepiece

from gpu_job.asr.boosting.spelling import Speller
from gpu_job.asr.onnx.vocabulary import read_vocabulary, vocabulary_of
from infra.tiny_parakeet import ONNX_PATH
from shared.keyterms.terms import parse_keyterms

CONSONANTS, VOWELS = "bcdfghklmnprstvwz", "aeiou"


def _text(dice: random.Random, words: int) -> list[str]:
    def word() -> str:
        syllables = [dice.choice(CONSONANTS) + dice.choice(VOWELS) for _ in range(dice.randint(1, 4))]
        text = "".join(syllables) + dice.choice(("", "n", "s", "'s", "."))
        return text.capitalize() if dice.random() < 0.2 else text

    return [word() for _ in range(words)]


@pytest.fixture(scope="module")
def tokenizer() -> sentencepiece.SentencePieceProcessor:
    """Of 300 pieces, trained as published models' are."""
    dice, made = random.Random(3), io.BytesIO()
    lines = [" ".join(_text(dice, 12)) for _ in range(400)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=made, vocab_size=300, model_type="bpe", minloglevel=2
    )
    return sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())


@pytest.fixture(scope="module")
def tiny() -> Speller:
    return Speller(read_vocabulary(ONNX_PATH / "vocab.txt"))


def test_tokens_are_sentencepieces(tokenizer: sentencepiece.SentencePieceProcessor) -> None:
    pieces = [tokenizer.id_to_piece(number) for number in range(tokenizer.get_piece_size())]
    speller, dice = Speller(vocabulary_of(pieces)), random.Random(4)
    for _ in range(200):
        phrase = " ".join(_text(dice, dice.randint(1, 3)))
        assert speller.ids(phrase) == tuple(tokenizer.encode(phrase)), phrase


def test_characters_that_the_model_never_writes_are_reported(tiny: Speller) -> None:
    found = tiny.spell(parse_keyterms("Parakeet; 東京; naïve"))
    assert found.unspellable == ("東京", "naïve")
    assert found.tree is not None
    assert tiny.spell(parse_keyterms("東京")).tree is None


def test_bytes_spell_what_no_piece_does() -> None:
    speller = Speller(vocabulary_of(["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a"]))
    assert speller.ids("aé") == (257, 258, 1 + 0xC3, 1 + 0xA9)


def test_a_term_may_begin_a_sentence_and_have_only_small_letters(tiny: Speller) -> None:
    small = Speller(vocabulary_of(["<unk>", "\u2581", "a", "b"]))
    assert small.spell(parse_keyterms("AB")).unspellable == ()
    garden = tiny.spell(parse_keyterms("garden")).tree
    assert garden is not None
    begins = {tiny.ids(text)[0] for text in ("garden", "Garden")}  # type: ignore[index]  # Both can be spelled.
    assert set(garden.arc_labels[: garden.first_arc[1]].tolist()) == begins


def test_a_long_phrase_of_one_letter_takes_no_time(tiny: Speller) -> None:
    ids = tiny.ids("e" * 100)
    assert ids is not None
    assert 2 <= len(ids) <= 101
