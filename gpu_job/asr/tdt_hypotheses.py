"""Hypotheses: what the TDT decoder stored for a batch -> tokens with times and confidence.

Does in microseconds what NeMo's `compute_rnnt_timestamps` does in milliseconds a chunk, with the same words and times:
pieces make words, a punctuation mark belongs to the word before it, also in time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_job.asr.tokens import Token

_WORD_START = "\u2581"
"""SentencePiece's mark in front of a word's first piece."""
_UNKNOWN = " \u2047"
"""SentencePiece's surface of the unknown piece: a word of its own."""


class Processor(Protocol):
    """What is asked of a SentencePieceProcessor."""

    def get_piece_size(self) -> int: ...
    def id_to_piece(self, index: int, /) -> str: ...
    def is_byte(self, index: int, /) -> bool: ...
    def is_unknown(self, index: int, /) -> bool: ...
    def is_control(self, index: int, /) -> bool: ...


class Piece(NamedTuple):
    """One entry of the vocabulary."""

    text: str
    """With a leading space where it begins a word; empty for pieces without a sound."""
    is_mark: bool = False
    """A punctuation mark: written to the word before it."""
    byte: int | None = None
    """Its value, where the piece is one byte of a character in UTF-8."""


@dataclass(frozen=True)
class Vocabulary:
    """The model's pieces by id."""

    pieces: Sequence[Piece]

    @classmethod
    def of(cls, processor: Processor, marks: Collection[str]) -> Vocabulary:
        """From the model's tokenizer and the punctuation marks NeMo found in it."""
        return cls([_piece(processor, index, marks) for index in range(processor.get_piece_size())])


def _piece(processor: Processor, index: int, marks: Collection[str]) -> Piece:
    spelled = processor.id_to_piece(index)
    if processor.is_byte(index):
        return Piece("", byte=int(spelled[1:-1], 16))  # spelled <0xE2>
    return piece_of(spelled, marks, is_unknown=processor.is_unknown(index), is_control=processor.is_control(index))


def piece_of(spelled: str, marks: Collection[str], *, is_unknown: bool, is_control: bool) -> Piece:
    """A piece that is no byte, as SentencePiece spells it."""
    if is_control:
        return Piece("")
    if is_unknown:
        return Piece(_UNKNOWN)
    text = spelled.replace(_WORD_START, " ")
    if text.strip() in marks:
        return Piece(text.strip(), is_mark=True)
    return Piece(text)


@dataclass(frozen=True)
class Hypotheses:
    """What was decoded of a batch: a row a chunk, of which the first `lengths[row]` entries count."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    """In encoder frames from the chunk's start."""
    durations: NDArray[np.int64]
    """In encoder frames."""
    confidences: NDArray[np.float32]
    lengths: NDArray[np.int64]

    def tokens(self, vocabulary: Vocabulary, frame_seconds: float, seconds: Sequence[float]) -> list[list[Token]]:
        """The tokens of each chunk, none of them later than the chunk's own length in seconds."""
        return [_tokens(list(self._steps(row, vocabulary)), frame_seconds, end) for row, end in enumerate(seconds)]

    def _steps(self, row: int, vocabulary: Vocabulary) -> Iterator[_Step]:
        count = int(self.lengths[row])
        columns = (self.ids, self.starts, self.durations, self.confidences)
        for index, start, duration, confidence in zip(
            *(column[row, :count].tolist() for column in columns), strict=True
        ):
            yield _Step(vocabulary.pieces[index], start, start + duration, min(1.0, max(0.0, confidence)))


class _Step(NamedTuple):
    """A piece at its place, in frames."""

    piece: Piece
    start: int
    end: int
    confidence: float


def _tokens(steps: Sequence[_Step], frame_seconds: float, last: float) -> list[Token]:
    tokens: list[Token] = []
    for step in _characters(steps):
        token = Token(
            step.piece.text,
            min(step.start * frame_seconds, last),
            min(step.end * frame_seconds, last),
            step.confidence,
        )
        if step.piece.is_mark:
            if tokens and tokens[-1].text == " ":
                tokens.pop()
            if tokens:
                # A mark is often predicted after the pause that follows the word.
                token = token._replace(start=tokens[-1].end, end=tokens[-1].end)
        elif tokens and tokens[-1].text == _UNKNOWN and not token.begins_word:
            token = token._replace(text=f" {token.text}")
        tokens.append(token)
    return tokens


def _characters(steps: Sequence[_Step]) -> Iterator[_Step]:
    """The steps that have a text; the bytes of a character as one."""
    for is_bytes, run in groupby(steps, key=lambda step: step.piece.byte is not None):
        found = list(run)
        if is_bytes:
            spelled = bytes(step.piece.byte or 0 for step in found).decode(errors="replace")
            sure = min(step.confidence for step in found)
            yield _Step(Piece(spelled), found[0].start, found[-1].end, sure)
        else:
            yield from (step for step in found if step.piece.text)
