"""Pieces become tokens, and tokens the words and times that NeMo itself would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from nemo.collections.asr.parts.utils.timestamp_utils import process_timestamp_outputs

from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.tdt_hypotheses import Hypotheses, Vocabulary
from gpu_job.asr.tokens import Token, words_of
from gpu_job.audio.chunker import Chunk

PIECES = ["<unk>", "<s>", "\u2581the", "\u2581is", "land", ".", "\u2581", "\u2581,", "<0xC3>", "<0xA9>", "<|en|>", "'s"]


class Pieces:
    """A vocabulary as SentencePiece would tell it, with every kind of piece."""

    def get_piece_size(self) -> int:
        return len(PIECES)

    def id_to_piece(self, index: int, /) -> str:
        return PIECES[index]

    def is_byte(self, index: int, /) -> bool:
        return PIECES[index].startswith("<0x")

    def is_unknown(self, index: int, /) -> bool:
        return PIECES[index] == "<unk>"

    def is_control(self, index: int, /) -> bool:
        return PIECES[index] == "<s>"


VOCABULARY = Vocabulary.of(Pieces(), {".", ","})


def tokens_of(*pieces: str, gap: int = 2, seconds: float = 100.0) -> list[Token]:
    """The pieces one after the other, a frame of 0.1 s long, every `gap` frames."""
    count = len(pieces)
    ids = np.array([[PIECES.index(piece) for piece in pieces] + [3]])
    starts = gap * np.arange(count + 1)[None]
    sure = np.linspace(0.9, 0.5, count + 1, dtype=np.float32)[None]
    found = Hypotheses(ids, starts, np.ones_like(ids), sure, np.array([count]))
    (tokens,) = found.tokens(VOCABULARY, 0.1, [seconds])
    return tokens


def text_of(tokens: Sequence[Token]) -> str:
    return " ".join(word.text for word in words_of(tokens))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\u2581the", "\u2581is", "land", "."], "the island."),
        (["\u2581the", "\u2581,", "\u2581is"], "the, is"),
        (["\u2581the", "\u2581", ".", "\u2581is"], "the. is"),
        (["\u2581the", "\u2581", "land"], "the land"),
        (["\u2581the", "<s>", "land"], "theland"),
        (["\u2581the", "<unk>", "land"], "the \u2047 land"),
        (["<unk>", "<unk>", ".", "land"], "\u2047 \u2047.land"),
        (["\u2581the", "<0xC3>", "<0xA9>", "land"], "the\u00e9land"),
        (["\u2581", "<0xC3>", "<0xA9>", "\u2581is"], "\u00e9 is"),
        (["\u2581the", "<0xC3>", "\u2581is"], "the\ufffd is"),
        ([".", "\u2581the"], ". the"),
        (["land", "'s", "\u2581is"], "land's is"),
        (["\u2581the", "<|en|>"], "the<|en|>"),
        (["\u2581", "\u2581", "<s>"], ""),
        ([], ""),
    ],
)
def test_pieces_make_words(pieces: list[str], text: str) -> None:
    assert text_of(tokens_of(*pieces)) == text


def test_only_the_steps_that_count_are_read() -> None:
    assert len(tokens_of("\u2581the", "land")) == 2


def test_a_mark_adds_nothing_to_the_time_of_its_word() -> None:
    (word,) = words_of(tokens_of("\u2581the", "."))
    assert (word.start, word.end) == (0.0, 0.1)
    assert word.confidence == pytest.approx(0.7)


def test_the_bytes_of_a_character_are_one_token() -> None:
    (token,) = tokens_of("<0xC3>", "<0xA9>")
    assert (token.text, token.start) == ("\u00e9", 0.0)
    assert token.end == pytest.approx(0.3)
    assert token.confidence == pytest.approx(0.7)


def test_no_token_is_later_than_its_chunk() -> None:
    tokens = tokens_of("\u2581the", "\u2581is", "land", seconds=0.25)
    assert [(token.start, token.end) for token in tokens] == [(0.0, 0.1), (0.2, 0.25), (0.25, 0.25)]


def nemo_hypotheses(parakeet: Parakeet, batch: Sequence[Any]) -> list[Any]:
    """What NeMo makes of the same encoder output, by its own long way."""
    model = parakeet.model
    ((signal, lengths),) = parakeet.prepare(batch).slices
    with torch.inference_mode():
        features, frames = model.preprocessor(input_signal=signal, length=lengths)
        encoded, encoded_frames = model.encoder(audio_signal=features, length=frames)
        found = model.decoding.rnnt_decoder_predictions_tensor(encoded, encoded_frames, return_hypotheses=True)
    timed: list[Any] = process_timestamp_outputs(found, model.encoder.subsampling_factor, 0.01)
    return timed


def test_words_and_times_are_nemos_own(parakeet: Parakeet, short_chunks: list[Chunk]) -> None:
    for first in range(0, 16, 4):
        batch = [chunk.samples for chunk in short_chunks[first : first + 4]]
        for tokens, hypothesis in zip(parakeet.transcribe(batch), nemo_hypotheses(parakeet, batch), strict=True):
            words, stamps = words_of(tokens), hypothesis.timestamp["word"]
            assert " ".join(word.text for word in words) == hypothesis.text
            assert [word.text for word in words] == [stamp["word"] for stamp in stamps]
            assert [word.start for word in words] == pytest.approx([stamp["start"] for stamp in stamps])
            assert [word.end for word in words] == pytest.approx([stamp["end"] for stamp in stamps])


def test_every_piece_of_the_model_is_spelled_as_its_tokenizer_does(parakeet: Parakeet) -> None:
    tokenizer = parakeet.model.tokenizer
    vocabulary = Vocabulary.of(tokenizer.tokenizer, parakeet.model.decoding.supported_punctuation)
    for index, piece in enumerate(vocabulary.pieces):
        assert piece.text.strip() == tokenizer.ids_to_text([index]).strip()
