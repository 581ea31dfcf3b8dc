"""Ranges: consecutive chunks as one recording, and its tokens back to their chunks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpu_job.asr.tokens import Token
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import Samples, seconds


@dataclass(frozen=True)
class Piece:
    """A chunk's place in the recording. In samples."""

    chunk: Chunk
    skipped: int
    """Samples it shares with the chunk before it, which are in the recording already."""
    offset: int
    """Where the rest of it begins."""

    @property
    def samples(self) -> Samples:
        """What of the chunk is in the recording."""
        return self.chunk.samples[self.skipped :]


def pieces_of(chunks: Sequence[Chunk]) -> list[Piece]:
    """Chunks of one channel in time order, without the silence between them."""
    pieces: list[Piece] = []
    offset, end = 0, 0
    for chunk in chunks:
        skipped = min(len(chunk.samples), max(0, end - chunk.start))
        pieces.append(Piece(chunk, skipped, offset))
        offset += len(chunk.samples) - skipped
        end = max(end, chunk.end)
    return pieces


def recording_of(pieces: Sequence[Piece]) -> Samples:
    """The pieces as one recording."""
    return np.concatenate([piece.samples for piece in pieces])


def returned(tokens: Iterable[Token], pieces: Sequence[Piece]) -> list[list[Token]]:
    """Tokens on the recording's clock -> those of each chunk, in seconds from the chunk's start.

    A word belongs to the chunk in which its middle lies; so none is lost and none is doubled.
    """
    answers: list[list[Token]] = [[] for _ in pieces]
    ends = [seconds(after.offset) for _, after in pairwise(pieces)]
    place = 0
    for token in tokens:
        while place < len(ends) and (token.start + token.end) / 2 >= ends[place]:
            place += 1
        piece = pieces[place]
        moved = token.later(seconds(piece.skipped - piece.offset))
        last = seconds(len(piece.chunk.samples))
        start = min(max(0.0, moved.start), last)
        answers[place].append(moved._replace(start=start, end=min(max(start, moved.end), last)))
    return answers
