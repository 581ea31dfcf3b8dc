"""What stands around the numbers of one speaker's words: the words before and behind, signs, scales, currencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.transcript.editing.number_rules import NumberRules
from shared.transcript.editing.numbers_in_words import Number, numbers_in
from shared.transcript.editing.tokens import Token

GROUPED_FROM = 10_000
"""Numbers of so much are written with a mark between thousands; years and numbers of houses are below."""

MONEY_GROUPED_FROM = 1_000
"""Sums of money are, from so much on: they are no years."""


@dataclass(frozen=True)
class WrittenNumber:
    """Tokens that are written otherwise."""

    first: int
    last: int
    texts: tuple[str, ...]


class NumberContext:
    """The words of one speaker, and the numbers among them."""

    def __init__(self, language: str, rules: NumberRules, tokens: Sequence[Token]) -> None:
        """`language`: two letters, those of `rules`."""
        self.language = language
        self.rules = rules
        self.tokens = tokens
        self.numbers = {one.first: one for one in numbers_in(language, rules, tokens)}
        """By their first token."""

    def key(self, at: int) -> str:
        """The word at a place, where nothing separates it from the one before; empty where something does."""
        if not 0 <= at < len(self.tokens) or self.tokens[at].is_apart:
            return ""
        return self.tokens[at].key

    def before(self, at: int) -> str:
        """The word before a place; empty where something separates them."""
        return self.tokens[at - 1].key if at > 0 and not self.tokens[at].is_apart else ""

    def number(self, at: int) -> Number | None:
        """The number that begins at a place, right behind what stands before it."""
        return self.numbers.get(at) if self.key(at) else None

    def signed(self, at: int) -> tuple[Number, int, str] | None:
        """A number, its place with a sign or an article before it, and its text with the sign."""
        number = self.numbers.get(at)
        if number is not None:
            return number, at, self.text_of(number)
        if self.tokens[at].key in self.rules.minus and (behind := self.number(at + 1)) and not behind.is_ordinal:
            return behind, at, f"-{self.text_of(behind)}"
        # A hundred; a thousand and one.
        if self.tokens[at].key == "a" and self.key(at + 1) in {"hundred", "thousand"}:
            behind = self.number(at + 1)
            return None if behind is None or behind.is_ordinal else (behind, at, self.text_of(behind))
        return None

    def ends(self, at: int) -> Number | None:
        """The number whose last word stands right before a place."""
        found = next((one for one in self.numbers.values() if one.last == at - 1), None)
        return found if found is not None and self.key(at) else None

    def scale(self, number: Number) -> tuple[str, int] | None:
        """ "5 million" and its last place, where a number is followed by such a word or ends with one."""
        at = number.last + 1
        if self.key(at) == "and" and self.key(at + 1) == "a" and self.key(at + 2) == "half":
            if self.key(at + 3) in self.rules.scales and number.is_whole:
                return f"{number.text}.5 {self.tokens[at + 3].core}", at + 3
            return None
        if self.key(at) in self.rules.scales:
            return f"{number.text} {self.tokens[at].core}", at
        word = self.tokens[number.last].key
        if number.words > 1 and word in self.rules.scales and number.is_whole:
            count, rest = divmod(int(number.value), 10 ** _scale_digits(word))
            if rest == 0:
                return f"{count} {self.tokens[number.last].core}", number.last
        return None

    def text_of(self, number: Number) -> str:
        """A number in digits, with marks between thousands of large ones that were said."""
        if number.is_whole and number.value < GROUPED_FROM and self.rules.grouping in number.text:
            return f"{int(number.value)}"  # 1,250 as some engines have it
        if number.is_whole and number.value >= GROUPED_FROM and not self.tokens[number.first].core[:1].isdecimal():
            return f"{int(number.value):,}".replace(",", self.rules.grouping)
        return number.text

    def money_of(self, number: Number, text: str) -> str:
        """The text of a sum of money, with marks between thousands whether it was said or written. `text`: as `signed`
        has it."""
        if not number.is_whole or number.value < MONEY_GROUPED_FROM or number.value >= 1e15:
            return text
        grouped = f"{int(number.value):,}".replace(",", self.rules.grouping)
        return f"-{grouped}" if text.startswith("-") else grouped

    def is_counted(self, at: int) -> bool:
        """Whether what follows is what is counted: "at ten twenty dollar bills"."""
        key = self.key(at)
        return self.rules.currency(key) is not None or self.percent_words(at) > 0

    def percent_words(self, at: int) -> int:
        """How many words at a place say percent; 0 where none do."""
        if self.key(at) == "%":
            return 1
        for phrase in self.rules.percent:
            if tuple(self.key(at + step) for step in range(len(phrase))) == phrase:
                return len(phrase)
        return 0


def _scale_digits(word: str) -> int:
    """Zeros of a word such as million, in the languages that have it."""
    if word.startswith("tri"):
        return 12
    return 9 if word.startswith(("bil", "milliard")) else 6
