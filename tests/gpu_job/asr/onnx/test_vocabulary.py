"""vocab.txt: the pieces that NeMo's own tokenizer has."""

from __future__ import annotations

from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.onnx.model_folder import VOCABULARY
from gpu_job.asr.onnx.vocabulary import punctuation_marks, read_vocabulary, vocabulary_of
from gpu_job.asr.tdt_hypotheses import Piece, Vocabulary
from infra.tiny_parakeet import ONNX_PATH


def test_the_shipped_vocabulary_is_the_tokenizers(parakeet: Parakeet) -> None:
    model = parakeet.model
    marks = model.decoding.supported_punctuation
    assert list(read_vocabulary(ONNX_PATH / VOCABULARY).pieces) == list(
        Vocabulary.of(model.tokenizer.tokenizer, marks).pieces
    )
    assert punctuation_marks(model.tokenizer.vocab) == marks


def test_pieces_that_are_no_letters() -> None:
    pieces = ["<unk>", "<pad>", "<|en|>", "<0xC3>", "\u2581", "\u2581the", "s", ",", "\u2581?", "'s", "<b>"]
    assert list(vocabulary_of(pieces).pieces) == [
        Piece(" \u2047"),
        Piece(""),
        Piece(""),
        Piece("", byte=0xC3),
        Piece(" "),
        Piece(" the"),
        Piece("s"),
        Piece(",", is_mark=True),
        Piece(" ?"),  # no mark: only pieces that begin a word hold it
        Piece("'s"),
        Piece("<b>"),
    ]
