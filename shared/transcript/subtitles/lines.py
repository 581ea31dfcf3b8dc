"""Pieces -> lines: how many they take at least, and those of similar width that break after punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from shared.transcript.subtitles.pieces import Piece

_PUNCTUATION_BONUS = 8
"""Columns of imbalance that a line break after punctuation is worth."""


def rows_after(row: int, taken: int, piece: Piece, columns: int) -> tuple[int, int]:
    """Rows full or begun, and columns taken of the last one, once a piece follows. Before the first one: (0, 0)."""
    together = taken + piece.is_spaced + piece.columns
    if row and together <= columns:
        return row, together
    return row + 1, piece.columns


def lay_out(pieces: Sequence[Piece], columns: int) -> tuple[str, ...]:
    """As few lines as they fit on, of similar width. No piece is wider than `columns`."""
    count = taken = 0
    for piece in pieces:
        count, taken = rows_after(count, taken, piece, columns)
    ends = _balanced(pieces, columns, count) if count > 1 else [len(pieces)]
    return tuple(_text(pieces[first:after]) for first, after in zip([0, *ends], ends, strict=False))


def _text(pieces: Sequence[Piece]) -> str:
    spaced = ((" " if number and piece.is_spaced else "") + piece.text for number, piece in enumerate(pieces))
    return "".join(spaced)


def _balanced(pieces: Sequence[Piece], columns: int, count: int) -> list[int]:
    """Where each of `count` lines ends: the cheapest way, line by line."""
    edges = list(accumulate((piece.is_spaced + piece.columns for piece in pieces), initial=0))
    target = edges[-1] / count
    cheapest: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for line in range(1, count + 1):
        reached: dict[int, tuple[float, list[int]]] = {}
        for first, (cost, ends) in cheapest.items():
            for after in range(first + 1, len(pieces) + 1):
                wide = edges[after] - edges[first] - pieces[first].is_spaced
                if wide > columns:
                    break
                if (line == count) != (after == len(pieces)):
                    continue
                piece = pieces[after - 1]
                bonus = _PUNCTUATION_BONUS if line < count and (piece.ends_sentence or piece.ends_clause) else 0
                total = cost + abs(wide - target) - bonus
                if after not in reached or total < reached[after][0]:
                    reached[after] = total, [*ends, after]
        cheapest = reached
    return cheapest[len(pieces)][1]
