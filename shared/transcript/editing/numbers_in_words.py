"""Which words of a speaker are numbers: said, or in digits already.

text2num (https://github.com/allo-media/text2num) reads those that are said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.transcript.editing.number_rules import NumberRules
from shared.transcript.editing.tokens import Token

CLOCK_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
"""A time of day in digits."""

_TOO_MANY_DIGITS = 15
"""A larger number is left as it is."""


@dataclass(frozen=True)
class Number:
    """Tokens that are one number."""

    first: int
    last: int
    text: str
    value: float
    is_ordinal: bool = False

    @property
    def is_whole(self) -> bool:
        return self.value == int(self.value) and not self.is_ordinal

    @property
    def words(self) -> int:
        return self.last - self.first + 1


class _Spoken:
    """A token as text2num reads it."""

    def __init__(self, token: Token, is_number_part: bool) -> None:
        self._token = token
        self._is_number_part = is_number_part

    def text(self) -> str:
        return self._token.core

    def nt_separated(self, previous: object) -> bool:
        return self._token.is_apart

    def not_a_number_part(self) -> bool:
        return not self._is_number_part


def numbers_in(language: str, rules: NumberRules, tokens: Sequence[Token]) -> list[Number]:
    """Numbers in words, and numbers that are in digits already."""
    from text_to_num import find_numbers  # a native library: not before it is needed

    percents = {
        at + step
        for phrase in rules.percent
        if len(phrase) > 1
        for at in range(len(tokens))
        if tuple(token.key for token in tokens[at : at + len(phrase)]) == phrase
        for step in range(len(phrase))
    }
    heard = [_Spoken(token, at not in percents) for at, token in enumerate(tokens)]

    def read(first: int, end: int) -> Iterator[Number]:
        for one in find_numbers(heard[first:end], language, 0):
            number = Number(first + one.start, first + one.end - 1, one.text, one.value, one.is_ordinal)
            if number.words > 1 and rules.decimal in one.text and tokens[number.last].key in rules.scales:
                # "cero coma seis millones" is not 0,6000000.
                yield from read(number.first, number.last)
            elif len(one.text) <= _TOO_MANY_DIGITS:
                yield number

    found = list(read(0, len(tokens)))
    taken = {at for one in found for at in range(one.first, one.last + 1)}
    written = [
        number
        for at, token in enumerate(tokens)
        if at not in taken and (number := _number_in_digits(at, token.core, rules)) is not None
    ]
    return sorted([*found, *written], key=lambda one: one.first)


def _number_in_digits(at: int, text: str, rules: NumberRules) -> Number | None:
    plain = text.replace(rules.grouping, "") if re.fullmatch(rf"\d{{1,3}}(\{rules.grouping}\d{{3}})+", text) else text
    if not plain.isascii() or not plain[:1].isdecimal() or len(plain) > _TOO_MANY_DIGITS:
        return None
    if CLOCK_TIME.fullmatch(plain):
        return Number(at, at, plain, 0.5)
    if re.fullmatch(rf"\d+(\{rules.decimal}\d+)?", plain):
        return Number(at, at, text, float(plain.replace(rules.decimal, ".")))
    ordinal = re.fullmatch(r"(\d+)(\D+)", plain)
    if ordinal is not None and ordinal.group(2) in rules.ordinal_suffixes:
        return Number(at, at, plain, float(ordinal.group(1)), is_ordinal=True)
    return None
