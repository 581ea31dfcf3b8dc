"""Tokens of a chunk in little memory: a day of speech is 300,000 of them, 70 MB as tuples and 10 MB like this."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from sys import intern
from typing import overload

from gpu_job.asr.tokens import Token


class PackedTokens(Sequence[Token]):
    """Reads as the tokens that it was made of, to the last bit; each is made anew when it is read."""

    __slots__ = ("_numbers", "_texts", "_untimed")

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._texts = tuple([intern(token.text) for token in tokens])
        """The pieces of a vocabulary, which come again and again."""
        self._numbers = array("d")
        """Start, end and confidence of each in turn; not a number: no confidence."""
        for token in tokens:
            sure = math.nan if token.confidence is None else token.confidence
            self._numbers.extend((token.start, token.end, sure))
        self._untimed = frozenset([place for place, token in enumerate(tokens) if not token.is_timed])

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Token: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Token, ...]: ...
    def __getitem__(self, place: int | slice) -> Token | tuple[Token, ...]:
        places = range(len(self._texts))[place]
        return self._token(places) if isinstance(places, int) else tuple([self._token(each) for each in places])

    def __iter__(self) -> Iterator[Token]:
        untimed, numbers = self._untimed, self._numbers
        told = zip(self._texts, numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        for place, (text, start, end, sure) in enumerate(told):
            yield Token(text, start, end, None if math.isnan(sure) else sure, place not in untimed)

    def _token(self, place: int) -> Token:
        start, end, sure = self._numbers[3 * place : 3 * place + 3]
        confidence = None if math.isnan(sure) else sure
        return Token(self._texts[place], start, end, confidence, place not in self._untimed)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, PackedTokens | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def packed(tokens: Sequence[Token]) -> PackedTokens:
    """The same tokens; nothing is done where they are packed."""
    return tokens if isinstance(tokens, PackedTokens) else PackedTokens(tokens)
