"""vocab.txt -> the pieces that tokens are made of, as NeMo reads them from the tokenizer itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpu_job.asr.onnx.model_folder import BadOnnxModel
from gpu_job.asr.tdt_hypotheses import Piece, Vocabulary, piece_of

BLANK = "<blk>"
"""onnx-asr's spelling, on the last line."""

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_CONTROL = re.compile(r"<(\|.*\||s|/s|pad|blk)>")
_UNKNOWN = "<unk>"
_SPECIAL = re.compile(r"\[.*\]|<.*>|##.*|\u2581.*|\s*")
"""NeMo's rule for pieces whose characters it does not count as punctuation marks."""


def read_vocabulary(path: Path) -> Vocabulary:
    """A line a piece, `piece id`, in the order of the ids, the blank last and left out. Raises BadOnnxModel."""
    pieces = list(_pieces(path))
    if not pieces or pieces.pop() != BLANK:
        raise BadOnnxModel(f"{path} does not end with {BLANK}.")
    return vocabulary_of(pieces)


def vocabulary_of(pieces: Sequence[str]) -> Vocabulary:
    """The pieces as SentencePiece spells them -> what they say."""
    marks = punctuation_marks(pieces)
    return Vocabulary([_piece(spelled, marks) for spelled in pieces])


def punctuation_marks(pieces: Sequence[str]) -> frozenset[str]:
    """What NeMo takes for punctuation marks: every such character of an ordinary piece."""
    ordinary = (piece for piece in pieces if not _SPECIAL.fullmatch(piece))
    return frozenset(char for piece in ordinary for char in piece if unicodedata.category(char).startswith("P"))


def _piece(spelled: str, marks: frozenset[str]) -> Piece:
    if byte := _BYTE.fullmatch(spelled):
        return Piece("", byte=int(byte[1], 16))
    return piece_of(spelled, marks, is_unknown=spelled == _UNKNOWN, is_control=_CONTROL.fullmatch(spelled) is not None)


def _pieces(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadOnnxModel(f"{path} cannot be read ({error}).") from error
    for number, line in enumerate(line for line in lines if line):
        spelled, _, index = line.rpartition(" ")
        if index != str(number):
            raise BadOnnxModel(f"{path}: line {number + 1} is not a piece and the number {number}.")
        yield spelled
