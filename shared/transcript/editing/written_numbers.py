"""Numbers in words -> in digits: counts, dates, years, times of day, sums of money, percentages, digits one by one.

text2num (https://github.com/allo-media/text2num) reads the numbers; what they are numbers of is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.transcript.editing.number_rules import NumberRules, rules_of
from shared.transcript.editing.tokens import Token, tokens_of
from shared.transcript.editing.word_edits import WordEdit, WordEditor
from shared.transcript.model import Word

SMALLEST_ALONE = 3
"""Numbers below it stay words where nothing says what is counted: "one of them", "the second". As text2num has it."""

SMALLEST_ORDINAL_ALONE = 10
"""Ordinals below it stay words but in dates, as style guides have it."""

GROUPED_FROM = 10_000
"""Numbers of so much are written with a mark between thousands; years and numbers of houses are below."""

_DIGITS_ONE_BY_ONE = 3
"""So many digits in a row, each said by itself, are one number: of a telephone, a card, a code."""

_TOO_MANY_DIGITS = 15
"""A larger number is left as it is."""


@dataclass(frozen=True)
class _Number:
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


@dataclass(frozen=True)
class _Found:
    """Tokens that are written otherwise."""

    first: int
    last: int
    texts: tuple[str, ...]


def written_numbers(language: str) -> WordEditor | None:
    """The editor that writes numbers in digits; None for a language whose numbers are not known.

    `language`: BCP 47. English, German, French and Spanish with all that numbers are numbers of; of Portuguese,
    Italian, Dutch and Danish the numbers alone.
    """
    known = rules_of(language)
    if known is None:
        return None
    code, rules = known

    def editor(words: Sequence[Word]) -> Iterator[WordEdit]:
        tokens = tokens_of(words)
        for found in _Writer(code, rules, tokens).all():
            lead, trail = tokens[found.first].lead, tokens[found.last].trail
            if "." in tokens[found.last].core and not _ends_sentence(tokens, found.last):
                trail = trail.removeprefix(".")  # of "a.m."
            texts = list(found.texts)
            texts[0], texts[-1] = lead + texts[0], texts[-1] + trail
            if texts != [word.text for word in words[found.first : found.last + 1]]:
                yield WordEdit(found.first, found.last, tuple(texts))

    return editor


class _Writer:
    """The numbers of one speaker's words, read from left to right."""

    def __init__(self, language: str, rules: NumberRules, tokens: Sequence[Token]) -> None:
        self._language = language
        self._rules = rules
        self._tokens = tokens
        self._numbers = {one.first: one for one in _numbers(language, rules, tokens)}

    def all(self) -> Iterator[_Found]:
        """In order."""
        readers: tuple[Callable[[int], _Found | None], ...] = (
            self._time,
            self._digits,
            self._percent,
            self._money,
            self._year,
            self._day,
            self._count,
        )
        at = 0
        while at < len(self._tokens):
            found = next((found for read in readers if (found := read(at)) is not None), None)
            if found is not None:
                yield found
                at = found.last + 1
            elif (number := self._numbers.get(at)) is not None:
                at = number.last + 1
            else:
                at += 1

    # What stands at a place.

    def _key(self, at: int) -> str:
        """The word at a place, where nothing separates it from the one before; empty where something does."""
        if not 0 <= at < len(self._tokens) or self._tokens[at].is_apart:
            return ""
        return self._tokens[at].key

    def _before(self, at: int) -> str:
        """The word before a place; empty where something separates them."""
        return self._tokens[at - 1].key if at > 0 and not self._tokens[at].is_apart else ""

    def _number(self, at: int) -> _Number | None:
        """The number that begins at a place, right behind what stands before it."""
        return self._numbers.get(at) if self._key(at) else None

    def _signed(self, at: int) -> tuple[_Number, int, str] | None:
        """A number, its place with a sign or an article before it, and its text with the sign."""
        number = self._numbers.get(at)
        if number is not None:
            return number, at, self._text_of(number)
        if self._tokens[at].key in self._rules.minus and (behind := self._number(at + 1)) and not behind.is_ordinal:
            return behind, at, f"-{self._text_of(behind)}"
        if self._tokens[at].key == "a" and (behind := self._number(at + 1)) and behind.value in (100, 1000):
            return behind, at, self._text_of(behind)
        return None

    def _scale(self, number: _Number) -> tuple[str, int] | None:
        """ "5 million" and its last place, where a number is followed by such a word or ends with one."""
        at = number.last + 1
        if self._key(at) == "and" and self._key(at + 1) == "a" and self._key(at + 2) == "half":
            if self._key(at + 3) in self._rules.scales and number.is_whole:
                return f"{number.text}.5 {self._tokens[at + 3].core}", at + 3
            return None
        if self._key(at) in self._rules.scales:
            return f"{number.text} {self._tokens[at].core}", at
        word = self._tokens[number.last].key
        if number.words > 1 and word in self._rules.scales and number.is_whole:
            count, rest = divmod(int(number.value), 10 ** _scale_digits(word))
            if rest == 0:
                return f"{count} {self._tokens[number.last].core}", number.last
        return None

    def _text_of(self, number: _Number) -> str:
        if number.is_whole and number.value >= GROUPED_FROM and not self._tokens[number.first].core[:1].isdecimal():
            return f"{int(number.value):,}".replace(",", self._rules.grouping)
        return number.text

    # The readers.

    def _digits(self, at: int) -> _Found | None:
        """Digits one by one, "oh" among them, "double seven" as two."""
        digits, place, said = "", at, 0
        while place < len(self._tokens) and (place == at or self._key(place)):
            times = _TIMES.get(self._tokens[place].key, 1) if self._language == "en" else 1
            if times > 1:
                place += 1
            found = self._digits_at(place, may_be_oh=place > at) if times == 1 or self._key(place) else None
            if found is None:
                place -= times > 1
                break
            text, last = found
            digits += text[0] * times + text[1:]
            said += 1
            place = last + 1
        # "two two", "one one": people stammer.
        return _Found(at, place - 1, (digits,)) if len(digits) >= _DIGITS_ONE_BY_ONE and said > 1 else None

    def _digits_at(self, at: int, *, may_be_oh: bool) -> tuple[str, int] | None:
        """Digits that are each a word, and the last one's place: text2num reads "zero two" as one number."""
        number = self._numbers.get(at)
        if number is not None:
            is_digits = number.text.isdecimal() and number.words == len(number.text)
            return (number.text, number.last) if is_digits else None
        is_oh = self._language == "en" and at < len(self._tokens) and self._tokens[at].key in {"oh", "o"}
        return ("0", at) if is_oh and may_be_oh else None

    def _time(self, at: int) -> _Found | None:
        if self._language == "en":
            return self._english_time(at)
        hour = self._numbers.get(at)
        form = self._rules.hour_word.get(self._key(hour.last + 1)) if hour else None
        minute = self._number(hour.last + 2) if hour and form else None
        if hour is None or form is None or minute is None or not (hour.is_whole and minute.is_whole):
            return None
        if hour.value > 24 or minute.value > 59:
            return None
        text = form.format(int(hour.value), f"{int(minute.value):02}")
        return _Found(at, minute.last, tuple(text.split(" ")))

    def _english_time(self, at: int) -> _Found | None:
        key = self._tokens[at].key
        if key in {"half", "quarter"} and self._key(at + 1) in {"past", "to"} and (hour := self._number(at + 2)):
            if not (hour.is_whole and 1 <= hour.value <= 12) or (key, self._key(at + 1)) == ("half", "to"):
                return None
            minutes = {"half": 30, "quarter": 15 if self._key(at + 1) == "past" else 45}[key]
            value = int(hour.value) - (minutes == 45)
            return self._with_half_day(at, hour.last, f"{value or 12}:{minutes:02}")
        number = self._numbers.get(at)
        if number is None:
            return None
        if (written := _CLOCK.fullmatch(number.text)) is not None:
            return self._with_half_day(at, number.last, written.group())
        if not (number.is_whole and 1 <= number.value <= 12 and number.words == 1):
            return None
        minute, last = self._minutes(number.last + 1)
        if minute is None:
            found = self._with_half_day(at, number.last, number.text)
            return found if len(found.texts) > 1 else None
        found = self._with_half_day(at, last, f"{number.text}:{minute:02}")
        is_time = len(found.texts) > 1 or self._before(at) in self._rules.time_words
        return found if is_time and not self._is_counted(last + 1) else None

    def _minutes(self, at: int) -> tuple[int | None, int]:
        if self._key(at) in {"oh", "o"} and (digit := self._number(at + 1)) and digit.is_whole and digit.value < 10:
            return int(digit.value), digit.last
        number = self._number(at)
        if number is None or not number.is_whole or not 10 <= number.value <= 59 or len(number.text) != 2:
            return None, at
        return int(number.value), number.last

    def _with_half_day(self, at: int, last: int, text: str) -> _Found:
        """With AM or PM, where that follows: "a.m.", "am", "a m"."""
        plain = self._key(last + 1).replace(".", "")
        # "At ten am I there": without a colon, dots or capitals it is a time where nobody says "I" behind it.
        is_verb = plain == "am" and self._tokens[last + 1].core == "am" and self._key(last + 2) in {"i", "not"}
        if plain in {"am", "pm"} and not is_verb:
            return _Found(at, last + 1, (text, plain.upper()))
        if plain in {"a", "p"} and self._key(last + 2).replace(".", "") == "m":
            return _Found(at, last + 2, (text, f"{plain}m".upper()))
        return _Found(at, last, (text,))

    def _is_counted(self, at: int) -> bool:
        """Whether what follows is what is counted: "at ten twenty dollar bills"."""
        key = self._key(at)
        return self._rules.currency(key) is not None or self._percent_words(at) > 0

    def _percent_words(self, at: int) -> int:
        if self._key(at) == "%":
            return 1
        for phrase in self._rules.percent:
            if tuple(self._key(at + step) for step in range(len(phrase))) == phrase:
                return len(phrase)
        return 0

    def _percent(self, at: int) -> _Found | None:
        signed = self._signed(at)
        if signed is None or signed[0].is_ordinal:
            return None
        number, first, text = signed
        words = self._percent_words(number.last + 1)
        return _Found(first, number.last + words, (f"{text}%",)) if words else None

    def _money(self, at: int) -> _Found | None:
        signed = self._signed(at)
        if signed is None or signed[0].is_ordinal:
            return None
        number, first, text = signed
        last = number.last
        if number.words == 1 and self._tokens[last].key in self._rules.scales:
            return None  # "a million dollars"
        if (scale := self._scale(number)) is not None:
            text, last = scale
            if self._key(last + 1) == "de":
                last += 1  # un million d'euros, un millón de euros
        currency = self._rules.currency(self._key(last + 1))
        if currency is None:
            return None
        last += 1
        if scale is None and number.is_whole:
            if (cents := self._cents(last, currency.cents)) is not None:
                text, last = f"{text}{self._rules.decimal}{int(cents.value):02}", cents.last + 1
            elif (
                (bare := self._number(last + 1)) and self._language != "en" and 10 <= bare.value < 100 and bare.is_whole
            ):
                text, last = f"{text}{self._rules.decimal}{bare.text}", bare.last  # drei Euro f\u00fcnfzig
        written = f"{currency.symbol}{text}" if self._rules.symbol_first else f"{text}\u00a0{currency.symbol}"
        return _Found(first, last, tuple(written.split(" ")))

    def _bare_cents(self, at: int) -> _Number | None:
        """Drei Euro f\u00fcnfzig."""
        number = self._number(at)
        if number is None or self._language == "en" or not (number.is_whole and 10 <= number.value < 100):
            return None
        return number

    def _cents(self, currency_at: int, names: frozenset[str]) -> _Number | None:
        # Engines put a comma behind "dollars".
        at = currency_at + 1
        if at < len(self._tokens) and self._tokens[at].key in {self._rules.link, "y", "and"}:
            at += 1
        elif not self._key(at) and self._tokens[currency_at].trail != ",":
            return None
        number = self._numbers.get(at)
        if number is None or not (number.is_whole and number.value < 100):
            return None
        return number if self._key(number.last + 1) in names else None

    def _year(self, at: int) -> _Found | None:
        """Nineteen eighty-four, nineteen oh five, the nineteen eighties, twenty twenty-six."""
        number = self._numbers.get(at)
        if self._language != "en" or number is None or number.words > 1 or not number.is_whole:
            return None
        if not 11 <= number.value <= 20 or len(number.text) != 2:
            return None
        behind = number.last + 1
        if (decade := _DECADES.get(self._key(behind))) is not None:
            return _Found(at, behind, (f"{number.text}{decade}s",))
        if self._key(behind) in {"oh", "o"} and (digit := self._number(behind + 1)) and len(digit.text) == 1:
            return _Found(at, digit.last, (f"{number.text}0{digit.text}",)) if digit.is_whole else None
        rest = self._number(behind)
        if rest is None or not rest.is_whole or not 10 <= rest.value <= 99 or len(rest.text) != 2:
            return None
        is_dated = self._before(at) in self._rules.year_words | self._rules.months or self._follows_day(at)
        if not (is_dated or number.value >= 17) or self._is_counted(rest.last + 1):
            return None
        return _Found(at, rest.last, (f"{number.text}{rest.text}",))

    def _follows_day(self, at: int) -> bool:
        """Whether the day of a month stands before a place, perhaps with a comma between."""
        before = next((one for one in self._numbers.values() if one.last == at - 1), None)
        return before is not None and before.first > 0 and self._tokens[before.first - 1].key in self._rules.months

    def _day(self, at: int) -> _Found | None:
        """A day of a month is in digits however small it is."""
        number = self._numbers.get(at)
        if number is None or not 1 <= number.value <= 31 or number.value != int(number.value):
            return None
        if self._before(at) == "may" and not number.is_ordinal and number.value < SMALLEST_ALONE:
            return None  # "may one of you come"
        linked = self._key(number.last + 1) in {"of", "de"}
        behind = self._key(number.last + (2 if linked else 1))
        is_day = self._before(at) in self._rules.months or (
            behind in self._rules.months and (linked or self._is_day_first)
        )
        return _Found(at, number.last, (number.text,)) if is_day else None

    @property
    def _is_day_first(self) -> bool:
        return self._language != "en"

    def _count(self, at: int) -> _Found | None:
        signed = self._signed(at)
        if signed is None:
            return None
        number, first, text = signed
        if (scale := self._scale(number)) is not None:
            return _Found(first, scale[1], tuple(scale[0].split(" ")))
        if first == at == number.first:
            if number.words == 1 and self._tokens[at].key in self._rules.scales | {"hundred", "thousand"}:
                return None  # "a million thanks"
            if self._is_fraction(number):
                return None
            has_fraction = not number.is_whole and not number.is_ordinal
            if number.value < (SMALLEST_ORDINAL_ALONE if number.is_ordinal else SMALLEST_ALONE) and not has_fraction:
                return None
        elif self._tokens[first].key == "a":
            return None  # "a hundred times"
        return _Found(first, number.last, (text,))

    def _is_fraction(self, number: _Number) -> bool:
        """Two thirds, a fifth, one tenth."""
        key = self._tokens[number.last].key
        if number.is_ordinal:
            return self._language == "en" and (key.endswith("s") or self._before(number.first) in {"a", "one"})
        behind = self._number(number.last + 1)
        return behind is not None and behind.is_ordinal and self._language == "en"


def _ends_sentence(tokens: Sequence[Token], at: int) -> bool:
    return at + 1 == len(tokens) or tokens[at + 1].core[:1].isupper()


_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d")
_TIMES = {"double": 2, "triple": 3}
_DECADES = {
    "hundreds": "00",
    "tens": "10",
    "twenties": "20",
    "thirties": "30",
    "forties": "40",
    "fifties": "50",
    "sixties": "60",
    "seventies": "70",
    "eighties": "80",
    "nineties": "90",
}


def _scale_digits(word: str) -> int:
    """Zeros of a word such as million, in the languages that have it."""
    if word.startswith("tri"):
        return 12
    return 9 if word.startswith(("bil", "milliard")) else 6


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


def _numbers(language: str, rules: NumberRules, tokens: Sequence[Token]) -> list[_Number]:
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

    def read(first: int, end: int) -> Iterator[_Number]:
        for one in find_numbers(heard[first:end], language, 0):
            number = _Number(first + one.start, first + one.end - 1, one.text, one.value, one.is_ordinal)
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


def _number_in_digits(at: int, text: str, rules: NumberRules) -> _Number | None:
    plain = text.replace(rules.grouping, "") if re.fullmatch(rf"\d{{1,3}}(\{rules.grouping}\d{{3}})+", text) else text
    if not plain.isascii() or not plain[:1].isdecimal() or len(plain) > _TOO_MANY_DIGITS:
        return None
    if _CLOCK.fullmatch(plain):
        return _Number(at, at, plain, 0.5)
    if re.fullmatch(rf"\d+(\{rules.decimal}\d+)?", plain):
        return _Number(at, at, text, float(plain.replace(rules.decimal, ".")))
    ordinal = re.fullmatch(r"(\d+)(\D+)", plain)
    if ordinal is not None and ordinal.group(2) in rules.ordinal_suffixes:
        return _Number(at, at, plain, float(ordinal.group(1)), is_ordinal=True)
    return None
