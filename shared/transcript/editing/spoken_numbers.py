"""Numbers in digits -> in words, as one says them: the other way round than `written_numbers`.

unicode-rbnf (https://github.com/rhasspy/unicode-rbnf) spells numbers by the rules of Unicode's CLDR.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.transcript.editing.number_rules import Currency, NumberRules, rules_of
from shared.transcript.editing.tokens import Token, tokens_of
from shared.transcript.editing.word_edits import WordEdit, WordEditor
from shared.transcript.model import Word

if TYPE_CHECKING:
    from unicode_rbnf import FormatPurpose, RbnfEngine

_CODE_DIGITS = 7
"""So many digits without a mark between them are said one by one: numbers of telephones, cards and accounts."""

_MOST_DIGITS = 15
"""More of them are said one by one, too."""

_DATIVE = frozenset({"am", "vom", "zum", "dem", "den", "bis", "ab", "seit"})
"""Words behind which a German date is inflected."""

_YEARS = range(1100, 2100)
"""Four digits in this range are a year."""


def spoken_numbers(language: str) -> WordEditor | None:
    """The editor that writes numbers in words; None for a language whose numbers are not known (BCP 47)."""
    known = rules_of(language)
    if known is None:
        return None
    speller = _Speller(*known)

    def editor(words: Sequence[Word]) -> Iterator[WordEdit]:
        tokens = tokens_of(words)
        at = 0
        while at < len(tokens):
            found = speller.spelled(tokens, at) if any(map(str.isdecimal, tokens[at].core)) else None
            if found is not None:
                text, last = found
                trail = tokens[last].trail if not speller.is_day(tokens, at) else ""
                said = f"{tokens[at].lead}{_capital(text, tokens, at)}{trail}"
                yield WordEdit(at, last, tuple(said.split()))
                at = last
            at += 1

    return editor


def _capital(text: str, tokens: Sequence[Token], at: int) -> str:
    """With a capital where a sentence begins."""
    is_first = at == 0 or tokens[at - 1].trail[-1:] in set(".?!")
    return text[:1].upper() + text[1:] if is_first else text


class _Speller:
    """Spells the numbers of one language."""

    def __init__(self, language: str, rules: NumberRules) -> None:
        self._language = language
        self._rules = rules
        mark = re.escape(rules.decimal)
        group = re.escape(rules.grouping)
        self._plain = rf"\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d+)?|\d+(?:{mark}\d+)?"
        self._readers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
            (re.compile(rf"-(?P<number>{self._plain})"), self._negative),
            (re.compile(rf"(?P<number>{self._plain})\s*%"), self._percent),
            (re.compile(r"(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)"), self._time),
            (re.compile(r"(?P<hour>\d{1,2})h(?P<minute>[0-5]\d)"), self._time),
            (re.compile(r"\+?\d+(?:-\d+)+"), self._one_by_one),
            (re.compile(r"(?P<century>1[1-9]|20)(?P<decade>[1-9])0s"), self._decade),
            (re.compile(r"(?P<number>\d+)(?P<suffix>st|nd|rd|th|er|e|\u00ba|\u00aa)"), self._ordinal),
            (re.compile(rf"(?P<number>{self._plain})"), self._number),
        )

    def spelled(self, tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
        """What is said for a token, and the last token that it is for; None where it is no number: MP3, B2B."""
        core, last = tokens[at].core, at
        behind = tokens[at + 1] if at + 1 < len(tokens) and not tokens[at + 1].is_apart else None
        if behind is not None and behind.core in {"%", *(one.symbol for one in self._rules.currencies)}:
            core, last = f"{core}{behind.core}", at + 1
        if (money := self._money(core, tokens, last)) is not None:
            return money
        if self.is_day(tokens, at):
            ordinal = self._spell(int(core), "ORDINAL")
            return (f"{ordinal}n" if at and tokens[at - 1].key in _DATIVE else ordinal), at
        for pattern, read in self._readers:
            match = pattern.fullmatch(core)
            if match is not None and (said := read(match)) is not None:
                return self._with_hour_word(said, tokens, last)
        return None

    def _with_hour_word(self, said: str, tokens: Sequence[Token], last: int) -> tuple[str, int]:
        """Without an "o'clock" before AM and PM, and without an "Uhr" twice."""
        behind = tokens[last + 1].key.replace(".", "") if last + 1 < len(tokens) else ""
        if behind in self._rules.hour_word and f" {behind} " in f" {said.lower()} ":
            return said, last + 1
        return (said.removesuffix(" o'clock") if behind in {"am", "pm"} else said), last

    def is_day(self, tokens: Sequence[Token], at: int) -> bool:
        """Whether it is "21." of "21. M\u00e4rz"."""
        if self._language != "de" or not tokens[at].core.isdecimal() or tokens[at].trail != ".":
            return False
        return at + 1 < len(tokens) and tokens[at + 1].key in self._rules.months and len(tokens[at].core) <= 2

    def _money(self, core: str, tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
        for currency in self._rules.currencies:
            symbol = re.escape(currency.symbol)
            match = re.fullmatch(rf"{symbol}\s*(?P<number>{self._plain})", core) or re.fullmatch(
                rf"(?P<number>{self._plain})\s*{symbol}", core
            )
            if match is None:
                continue
            number = match["number"]
            behind = tokens[at + 1] if at + 1 < len(tokens) else None
            if behind is not None and not behind.is_apart and behind.key in self._rules.scales:
                return f"{self._value(number)} {behind.core} {currency.said[1]}", at + 1
            return self._sum(number, currency), at
        return None

    def _sum(self, number: str, currency: Currency) -> str:
        whole, mark, cents = number.partition(self._rules.decimal)
        said = [f"{self._value(whole)} {currency.said[self._plain_digits(whole) != '1']}"]
        if mark and len(cents) == 2 and currency.cents:
            if int(cents):
                said.append(f"{self._spell(int(cents), 'CARDINAL')} {currency.said_cents[int(cents) != 1]}")
            return f" {self._rules.link} ".join(said)
        return said[0] if not mark else f"{self._value(number)} {currency.said[1]}"

    def _plain_digits(self, number: str) -> str:
        return number.replace(self._rules.grouping, "")

    def _value(self, number: str) -> str:
        whole, mark, fraction = self._plain_digits(number).partition(self._rules.decimal)
        if not mark:
            return self._spell(int(whole), "CARDINAL")
        digits = " ".join(self._spell(int(digit), "CARDINAL") for digit in fraction)
        return f"{self._spell(int(whole), 'CARDINAL')} {self._rules.point} {digits}"

    def _negative(self, match: re.Match[str]) -> str:
        return f"{min(self._rules.minus, default='-')} {self._value(match['number'])}"

    def _percent(self, match: re.Match[str]) -> str | None:
        return f"{self._value(match['number'])} {self._rules.said_percent}" if self._rules.said_percent else None

    def _time(self, match: re.Match[str]) -> str | None:
        hour, minute = int(match["hour"]), int(match["minute"])
        if hour > 24:
            return None
        said = self._spell(hour, "CARDINAL")
        if self._rules.hour_word:
            word = next(iter(self._rules.hour_word))
            word = word.capitalize() if self._language == "de" else word
            return f"{said} {word} {self._spell(minute, 'CARDINAL')}" if minute else f"{said} {word}"
        if self._language == "en" and minute < 10:
            return f"{said} oh {self._spell(minute, 'CARDINAL')}" if minute else f"{said} o'clock"
        return f"{said} {self._spell(minute, 'CARDINAL')}"

    def _one_by_one(self, match: re.Match[str]) -> str:
        return " ".join(self._spell(int(digit), "CARDINAL") for digit in match.group() if digit.isdecimal())

    def _decade(self, match: re.Match[str]) -> str | None:
        if self._language != "en":
            return None
        tens = self._spell(10 * int(match["decade"]), "CARDINAL")
        plural = "tens" if match["decade"] == "1" else f"{tens.removesuffix('y')}ies"
        return f"{self._spell(int(match['century']), 'CARDINAL')} {plural}"

    def _ordinal(self, match: re.Match[str]) -> str | None:
        own = {"en": {"st", "nd", "rd", "th"}, "fr": {"er", "e"}}.get(self._language, {"\u00ba", "\u00aa"})
        if match["suffix"] not in own or len(match["number"]) > _MOST_DIGITS:
            return None
        return self._spell(int(match["number"]), "ORDINAL")

    def _number(self, match: re.Match[str]) -> str:
        text = match["number"]
        is_code = text.isdecimal() and (len(text) >= _CODE_DIGITS or (text[0] == "0" and len(text) > 1))
        if is_code or len(self._plain_digits(text)) > _MOST_DIGITS:
            return self._one_by_one(match)
        if text.isdecimal() and len(text) == 4 and int(text) in _YEARS:
            return self._spell(int(text), "YEAR")
        return self._value(text)

    def _spell(self, number: int, purpose: str) -> str:
        if len(str(number)) > _MOST_DIGITS:
            return " ".join(self._spell(int(digit), "CARDINAL") for digit in str(number))
        from unicode_rbnf import FormatPurpose

        return _spelled(self._language, number, FormatPurpose[purpose])


@lru_cache(maxsize=16)
def _engine(language: str) -> RbnfEngine:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(language)


@lru_cache(maxsize=4096)
def _spelled(language: str, number: int, purpose: FormatPurpose) -> str:
    texts = _engine(language).format_number(number, purpose).text_by_ruleset
    wanted = (*_RULESETS.get(language, ()), "spellout-numbering", "spellout-numbering-year", "spellout-ordinal")
    text = next((texts[name] for name in wanted if name in texts), next(iter(texts.values())))
    return text.replace("\u00ad", "")


_RULESETS = {
    "fr": ("spellout-ordinal-masculine",),
    "es": ("spellout-ordinal-masculine",),
    "pt": ("spellout-ordinal-masculine",),
    "it": ("spellout-ordinal-masculine",),
}
"""Of several, the form that is used: grammar around the number is not looked at."""
