"""Numbers in words -> in digits: counts, dates, years, times of day, sums of money, percentages, digits one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from shared.transcript.editing.clock_times import clock_time
from shared.transcript.editing.number_context import NumberContext, WrittenNumber
from shared.transcript.editing.number_rules import rules_of
from shared.transcript.editing.number_shapes import part_behind_point, shaped
from shared.transcript.editing.numbers_in_words import Number
from shared.transcript.editing.tokens import Token, tokens_of
from shared.transcript.editing.word_edits import WordEdit, WordEditor
from shared.transcript.model import Word

SMALLEST_ALONE = 3
"""Numbers below it stay words where nothing says what is counted: "one of them", "the second". As text2num has it."""

SMALLEST_ORDINAL_ALONE = 10
"""Ordinals below it stay words but in dates, as style guides have it."""

_DIGITS_ONE_BY_ONE = 3
"""So many digits in a row, each said by itself, are one number: of a telephone, a card, a code."""

_MANY = frozenset({"hundreds", "thousands"})
"""text2num reads them as one hundred and one thousand."""

_LINKS = frozenset({"or", "to", "through"})
"""Between two numbers of one kind."""

_BEFORE_PRONOUNS = frozenset({"this", "that", "the", "no", "any", "every", "each", "which", "last", "first"})
"""Behind them "one" counts nothing."""

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
        for found in _Writer(NumberContext(code, rules, tokens)).all():
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

    def __init__(self, context: NumberContext) -> None:
        self._context = context
        self._language, self._rules, self._tokens = context.language, context.rules, context.tokens

    def all(self) -> Iterator[WrittenNumber]:
        """In order."""
        readers: tuple[Callable[[int], WrittenNumber | None], ...] = (
            partial(shaped, self._context),
            partial(clock_time, self._context),
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
            elif (number := self._context.numbers.get(at)) is not None:
                at = number.last + 1
            else:
                at += 1

    def _digits(self, at: int) -> WrittenNumber | None:
        """Digits one by one, "oh" among them, "double seven" as two."""
        digits, place, said = "", at, 0
        while place < len(self._tokens) and (place == at or self._context.key(place)):
            times = _TIMES.get(self._tokens[place].key, 1) if self._language == "en" else 1
            if times > 1:
                place += 1
            found = self._digits_at(place, may_be_oh=True) if times == 1 or self._context.key(place) else None
            if found is None:
                place -= times > 1
                break
            text, last = found
            digits += text[0] * times + text[1:]
            said += 1
            place = last + 1
        # "two two", "one one": people stammer; "oh one two": of "oh" they say more than nought.
        least = _DIGITS_ONE_BY_ONE + (self._tokens[at].key in {"oh", "o"})
        is_sum = said == 2 and "0" not in digits and self._rules.currency(self._context.key(place)) is not None
        return WrittenNumber(at, place - 1, (digits,)) if len(digits) >= least and said > 1 and not is_sum else None

    def _digits_at(self, at: int, *, may_be_oh: bool) -> tuple[str, int] | None:
        """Digits that are each a word, and the last one's place: text2num reads "zero two" as one number."""
        number = self._context.numbers.get(at)
        if number is not None:
            is_digits = number.text.isdecimal() and number.words == len(number.text)
            return (number.text, number.last) if is_digits else None
        is_oh = self._language == "en" and at < len(self._tokens) and self._tokens[at].key in {"oh", "o"}
        return ("0", at) if is_oh and may_be_oh else None

    def _percent(self, at: int) -> WrittenNumber | None:
        part = part_behind_point(self._context, at)
        if part is not None and (words := self._context.percent_words(part.last + 1)):
            return WrittenNumber(at, part.last + words, (f"0{self._rules.decimal}{part.text}%",))
        signed = self._context.signed(at)
        if signed is None or signed[0].is_ordinal:
            return None
        number, first, text = signed
        words = self._context.percent_words(number.last + 1)
        return WrittenNumber(first, number.last + words, (f"{text}%",)) if words else None

    def _money(self, at: int) -> WrittenNumber | None:
        signed = self._context.signed(at)
        if signed is None or signed[0].is_ordinal:
            return None
        number, first, text = signed
        if (hundreds := self._hundreds(number)) is not None:
            number, text = hundreds, hundreds.text
        text, last = self._context.money_of(number, text), number.last
        if number.words == 1 and self._tokens[last].key in self._rules.scales:
            return None  # "a million dollars"
        if (scale := self._context.scale(number)) is not None:
            text, last = scale
            if self._context.key(last + 1) == "de":
                last += 1  # un million d'euros, un millón de euros
        currency = self._rules.currency(self._context.key(last + 1))
        if currency is None:
            return None
        last += 1
        if scale is None and number.is_whole:
            if (cents := self._cents(last, currency.cents)) is not None:
                text, last = f"{text}{self._rules.decimal}{int(cents.value):02}", cents.last + 1
            elif (bare := self._bare_cents(last + 1)) is not None:
                text, last = f"{text}{self._rules.decimal}{bare.text}", bare.last
        written = f"{currency.symbol}{text}" if self._rules.symbol_first else f"{text}\u00a0{currency.symbol}"
        return WrittenNumber(first, last, tuple(written.split(" ")))

    def _hundreds(self, number: Number) -> Number | None:
        """Nineteen ninety nine dollars, two fifty dollars: a sum in hundreds, as years are said."""
        rest = self._context.number(number.last + 1)
        if self._language != "en" or rest is None or number.words > 1 or self._tokens[number.last].trail:
            return None
        if not (number.is_whole and rest.is_whole and 1 <= number.value <= 19 and 10 <= rest.value <= 99):
            return None
        if number.value <= 10 and (number.value == 10 or not self._context.key(rest.last + 1).endswith("s")):
            return None  # "one twenty dollar bill"
        value = int(number.value) * 100 + int(rest.value)
        return Number(number.first, rest.last, str(value), value)

    def _bare_cents(self, at: int) -> Number | None:
        """Drei Euro fünfzig."""
        number = self._context.number(at)
        if number is None or self._language == "en" or not (number.is_whole and 10 <= number.value < 100):
            return None
        return number

    def _cents(self, currency_at: int, names: frozenset[str]) -> Number | None:
        # Engines put a comma behind "dollars".
        at = currency_at + 1
        if at < len(self._tokens) and self._tokens[at].key in {self._rules.link, "y", "and"}:
            at += 1
        elif not self._context.key(at) and self._tokens[currency_at].trail != ",":
            return None
        number = self._context.numbers.get(at)
        if number is None or not (number.is_whole and number.value < 100):
            return None
        return number if self._context.key(number.last + 1) in names else None

    def _year(self, at: int) -> WrittenNumber | None:
        """Nineteen eighty-four, nineteen oh five, the nineteen eighties, twenty twenty-six."""
        number = self._context.numbers.get(at)
        if self._language != "en" or number is None or not number.is_whole:
            return None
        if self._tokens[number.last].key == "hundreds" and 1100 <= number.value <= 2000 and number.words == 2:
            return WrittenNumber(at, number.last, (f"{number.text}s",))
        if number.words > 1:
            return None
        if not 11 <= number.value <= 20 or len(number.text) != 2:
            return None
        behind = number.last + 1
        if (decade := _DECADES.get(self._context.key(behind))) is not None:
            return WrittenNumber(at, behind, (f"{number.text}{decade}s",))
        if (
            self._context.key(behind) in {"oh", "o"}
            and (digit := self._context.number(behind + 1))
            and len(digit.text) == 1
        ):
            return WrittenNumber(at, digit.last, (f"{number.text}0{digit.text}",)) if digit.is_whole else None
        rest = self._context.number(behind)
        if rest is None or not rest.is_whole or not 10 <= rest.value <= 99 or len(rest.text) != 2:
            return None
        is_dated = self._context.before(at) in self._rules.year_words | self._rules.months or self._follows_day(at)
        if not (is_dated or number.value >= 17) or self._context.is_counted(rest.last + 1):
            return None
        return WrittenNumber(at, rest.last, (f"{number.text}{rest.text}",))

    def _follows_day(self, at: int) -> bool:
        """Whether the day of a month stands before a place, perhaps with a comma between."""
        before = next((one for one in self._context.numbers.values() if one.last == at - 1), None)
        return before is not None and before.first > 0 and self._tokens[before.first - 1].key in self._rules.months

    def _day(self, at: int) -> WrittenNumber | None:
        """A day of a month is in digits however small it is."""
        number = self._context.numbers.get(at)
        if number is None or not 1 <= number.value <= 31 or number.value != int(number.value):
            return None
        if self._context.before(at) == "may" and not number.is_ordinal and number.value < SMALLEST_ALONE:
            return None  # "may one of you come"
        linked = self._context.key(number.last + 1) in {"of", "de"}
        behind = self._context.key(number.last + (2 if linked else 1))
        is_day = self._context.before(at) in self._rules.months or (
            behind in self._rules.months and (linked or self._is_day_first)
        )
        return WrittenNumber(at, number.last, (number.text,)) if is_day else None

    @property
    def _is_day_first(self) -> bool:
        return self._language != "en"

    def _count(self, at: int) -> WrittenNumber | None:
        signed = self._context.signed(at)
        if signed is None:
            return None
        number, first, text = signed
        if (scale := self._context.scale(number)) is not None:
            return WrittenNumber(first, scale[1], tuple(scale[0].split(" ")))
        if first == at == number.first:
            if self._language == "en" and self._tokens[number.last].key in _MANY:
                return None  # "hundreds of people"
            if self._language == "en" and number.is_whole and number.words == 1 and self._tokens[at].key.endswith("s"):
                return None  # "high fives"
            if number.words == 1 and self._tokens[at].key in self._rules.scales | {"hundred", "thousand"}:
                return None  # "a million thanks"
            if self._is_fraction(number):
                return None
            has_fraction = not number.is_whole and not number.is_ordinal
            if number.value < (SMALLEST_ORDINAL_ALONE if number.is_ordinal else SMALLEST_ALONE) and not has_fraction:
                return WrittenNumber(first, number.last, (text,)) if self._is_beside_larger(number) else None
        elif self._tokens[first].key == "a" and number.words == 1:
            return None  # "a hundred times"
        return WrittenNumber(first, number.last, (text,))

    def _is_beside_larger(self, number: Number) -> bool:
        """Two or three days, a three to one majority: both are written alike."""
        if self._language != "en" or number.is_ordinal:
            return False
        after = self._context.number(number.last + 2) if self._context.key(number.last + 1) in _LINKS else None
        before = self._context.ends(number.first - 1) if self._context.before(number.first) in _LINKS else None
        if before is not None and self._context.key(number.last + 1) in {"of", "in"}:
            return False  # "from three to one of you", "one in ten to one in five"
        if number.value == 1 and self._context.before(number.first) in _BEFORE_PRONOUNS:
            return False  # "this one or five others"
        if after is not None and self._tokens[after.last].key in {"hundred", "thousand"}:
            return False  # "one to two hundred"
        return any(
            other is not None and other.is_whole and other.value >= SMALLEST_ALONE and not self._is_fraction(other)
            for other in (before, after)
        )

    def _is_fraction(self, number: Number) -> bool:
        """Two thirds, a fifth, one tenth."""
        key = self._tokens[number.last].key
        if number.is_ordinal:
            return self._language == "en" and (key.endswith("s") or self._context.before(number.first) in {"a", "one"})
        behind = self._context.number(number.last + 1)
        is_part = behind is not None and behind.is_ordinal
        return self._language == "en" and (is_part or self._context.key(number.last + 1) in {"quarters", "halves"})


def _ends_sentence(tokens: Sequence[Token], at: int) -> bool:
    return at + 1 == len(tokens) or tokens[at + 1].core[:1].isupper()
