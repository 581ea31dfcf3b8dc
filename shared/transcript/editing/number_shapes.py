"""Numbers known by their shape or by one word beside them: versions, houses, free calls, sums with a sign, halves."""

from __future__ import annotations

import re

from shared.transcript.editing.number_context import MONEY_GROUPED_FROM, NumberContext, WrittenNumber
from shared.transcript.editing.numbers_in_words import Number

_STREETS = frozenset({"street", "avenue", "road", "drive", "lane", "boulevard", "court"})
_MOST_WORDS_OF_STREET = 2
"""Before its kind."""
_STREETS_ALONE = frozenset({"street", "avenue", "boulevard"})
"""Without a capital the others are something else as often: "ten fifteen minute drive"."""
_NO_STREET_NAMES = frozenset(
    (
        *("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "per", "the", "to", "with"),
        *("day", "foot", "hour", "inch", "lane", "mile", "minute", "month", "old", "people", "person", "week", "year"),
    )
)

_SIGNED_SUM = re.compile(r"([$€£¥])(\d{4,15})(\.\d+)?")

_NO_POINT_BEFORE = frozenset({"this", "that", "the", "one", "which", "some", "what", "a", "every", "any", "my", "your"})
"""Behind them a point is no decimal mark: `at this point five percent`."""

_BEFORE_ONE_POINT = frozenset(
    (
        *("a", "at", "but", "get", "got", "had", "has", "have", "his", "her", "just", "made", "make", "makes", "my"),
        *("only", "our", "that", "the", "their", "this", "with", "your"),
    )
)
"""Behind them it is a point that is made: "at one point twelve people"."""
_BEHIND_OH = frozenset({"boy", "dear", "god", "i", "man", "my", "no", "well", "yeah", "yes"})
"""Behind "oh" they say that it is no nought."""

_PARTS = {"half": ".5", "quarter": ".25"}

_GERMAN_HALVES = {
    f"{word}einhalb": f"{value},5"
    for value, word in enumerate(("ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"), 1)
} | {"anderthalb": "1,5"}

_SIZES = {"hundred": 100, "thousand": 1000}

_COUNTED_IN_ONES = frozenset({"year", "month", "week", "day", "hour", "minute", "foot", "inch"})
"""Behind a number: "twenty four seven year olds"."""

_LIVING = frozenset({"live", "lives", "lived", "living", "located"})

_FREE_CALLS = frozenset({800, 900})
_FREE_CALL_DIGITS = 11


def shaped(context: NumberContext, at: int) -> WrittenNumber | None:
    """The number that begins at a place, as it is written; None where none of these does."""
    readers = {
        "en": (_sum, _one_and_cents, _around_the_clock, _version, _house, _free_call, _mixed, _of_one_size),
        "de": (_german_half,),
    }
    found = (read(context, at) for read in readers.get(context.language, ()))
    return next((one for one in found if one is not None), None)


def part_behind_point(context: NumberContext, at: int) -> Number | None:
    """The `five` of `point five percent`; None where that is none."""
    if context.tokens[at].key != context.rules.point or context.before(at) in _NO_POINT_BEFORE:
        return None
    number = context.number(at + 1)
    return number if number is not None and number.is_whole else None


def _sum(context: NumberContext, at: int) -> WrittenNumber | None:
    """`$1250`, as some engines write it."""
    found = _SIGNED_SUM.fullmatch(context.tokens[at].core)
    if found is None or int(found[2]) < MONEY_GROUPED_FROM:
        return None
    return WrittenNumber(at, at, (f"{found[1]}{int(found[2]):,}{found[3] or ''}",))


def _one_and_cents(context: NumberContext, at: int) -> WrittenNumber | None:
    """A dollar fifty. "It was a dollar fifty years ago"."""
    currency = context.rules.currency(context.key(at + 1)) if context.tokens[at].key == "a" else None
    cents = context.number(at + 2) if currency and context.tokens[at + 1].key == currency.said[0] else None
    if currency is None or cents is None or not (cents.is_whole and 10 <= cents.value <= 99):
        return None
    behind = context.key(cents.last + 1)
    if behind in currency.cents:
        return WrittenNumber(at, cents.last + 1, (f"{currency.symbol}1.{cents.text}",))
    is_of_other = behind.endswith("s") or behind == "people" or context.number(cents.last + 1) is not None
    is_of_other = is_of_other or context.percent_words(cents.last + 1) > 0
    return None if is_of_other else WrittenNumber(at, cents.last, (f"{currency.symbol}1.{cents.text}",))


def _around_the_clock(context: NumberContext, at: int) -> WrittenNumber | None:
    words = tuple(context.key(at + step) for step in range(1, 3))
    seven = context.number(at + 2)  # not of "seven thousand"
    if context.tokens[at].key != "twenty" or words != ("four", "seven") or (seven is not None and seven.words > 1):
        return None
    if context.ends(at) or context.number(at + 3) is not None:
        return None
    is_of_other = context.key(at + 3) in _COUNTED_IN_ONES or context.is_counted(at + 3)
    return None if is_of_other else WrittenNumber(at, at + 2, ("24/7",))


def _version(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Three point two point one`, `three point eleven`, `two point oh`."""
    number = context.numbers.get(at)
    if number is None or number.is_ordinal or context.rules.grouping in number.text or ":" in number.text:
        return None
    if context.tokens[at].key == "one" and context.before(at) in _BEFORE_ONE_POINT:
        return None
    text, last, is_version = number.text, number.last, False
    while context.key(last + 1) == context.rules.point:
        part = context.number(last + 2)
        if part is not None and not part.is_ordinal:
            is_version = is_version or "." in text or part.value >= 10
            text, last = f"{text}.{part.text}", part.last
        elif context.key(last + 2) in {"oh", "o"} and context.key(last + 3) not in _BEHIND_OH:
            text, last, is_version = f"{text}.0", last + 2, True
        else:
            break
    is_amount = context.is_counted(last + 1) or context.key(last + 1) in context.rules.scales
    return WrittenNumber(at, last, (text,)) if is_version and not is_amount else None


def _house(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Twelve thirty four Main Street`."""
    number = context.numbers.get(at)
    rest = context.number(number.last + 1) if number is not None else None
    if number is None or rest is None or not (number.is_whole and rest.is_whole):
        return None
    if not (1 <= number.value <= 99 and 10 <= rest.value <= 99) or context.ends(at):
        return None
    may_be_time = context.before(at) == "at" and number.value <= 12 and rest.value <= 59
    may_be_time = may_be_time and context.before(at - 1) not in _LIVING
    street = rest.last + 1
    for behind in range(street + 1, street + _MOST_WORDS_OF_STREET + 1):
        name = context.key(behind - 1)
        if not name or name in _NO_STREET_NAMES or behind - 1 in context.numbers:
            return None
        kind = context.key(behind)
        is_kind = kind in _STREETS and context.tokens[behind].core[:1].isupper()
        if is_kind or (kind in _STREETS_ALONE and behind == street + 1):
            if may_be_time and context.key(behind + 1):
                return None  # "at seven twenty Main Street closes"
            return WrittenNumber(at, rest.last, (f"{int(number.value)}{int(rest.value)}",))
    return None


def _free_call(context: NumberContext, at: int) -> WrittenNumber | None:
    """`One eight hundred five five five one two one two`."""
    code = context.number(at + 1) if context.tokens[at].key == "one" else None
    if code is None or context.key(at + 2) != "hundred" or not code.is_whole:
        return None
    hundreds, first = divmod(int(code.value), 100)
    if 100 * hundreds not in _FREE_CALLS or first > 9:
        return None
    # The first digit behind it was read as part of it.
    digits, place = f"1{hundreds}00{first or ''}", code.last + 1
    while (digit := context.number(place)) is not None and digit.text.isdecimal():
        digits, place = digits + digit.text, digit.last + 1
    return WrittenNumber(at, place - 1, (digits,)) if len(digits) == _FREE_CALL_DIGITS else None


def _mixed(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Three and a half hours`. "Two and a half of them", "two and a half dozen" stay, and so do millions."""
    number = context.numbers.get(at)
    if number is None or not number.is_whole or context.key(number.last + 1) != "and":
        return None
    part = _PARTS.get(context.key(number.last + 3)) if context.key(number.last + 2) == "a" else None
    behind = context.key(number.last + 4)
    size = context.number(number.last + 4) if part is not None and behind in _SIZES else None
    if part is not None and size is not None:
        value = int((number.value + float(part)) * _SIZES[behind])
        return None if size.words > 1 else _with_currency(context, at, size.last, value)
    if part is None or behind in {"of", "dozen"} | context.rules.scales or context.is_counted(number.last + 4):
        return None
    return WrittenNumber(at, number.last + 3, (f"{context.text_of(number)}{part}",))


def _of_one_size(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Two or three hundred`. "From two to three hundred" and "one to two hundred" may begin with few."""
    least = context.numbers.get(at)
    most = context.number(least.last + 2) if least is not None else None
    if least is None or most is None or not (least.is_whole and most.is_whole) or least.value > 99:
        return None
    link, size = context.tokens[least.last + 1].core, _SIZES.get(context.tokens[most.last].key)
    if size is None or most.words == 1 or not (least.value < most.value / size < 100) or most.value % size:
        return None
    is_range = context.key(least.last + 1) == "to" and least.value > 1 and context.before(at) != "from"
    if not (is_range or context.key(least.last + 1) == "or") or context.percent_words(most.last + 1):
        return None
    above = _with_currency(context, most.first, most.last, int(most.value))
    currency = context.rules.currency(context.key(most.last + 1))
    value = int(least.value) * size
    number = Number(at, least.last, str(value), value)
    text = context.text_of(number)
    below = text if currency is None else f"{currency.symbol}{context.money_of(number, text)}"
    return WrittenNumber(at, above.last, (below, link, *above.texts))


def _with_currency(context: NumberContext, at: int, last: int, value: int) -> WrittenNumber:
    number = Number(at, last, str(value), value)
    text, currency = context.text_of(number), context.rules.currency(context.key(last + 1))
    if currency is None:
        return WrittenNumber(at, last, (text,))
    return WrittenNumber(at, last + 1, (f"{currency.symbol}{context.money_of(number, text)}",))


def _german_half(context: NumberContext, at: int) -> WrittenNumber | None:
    """`Dreieinhalb`."""
    text = _GERMAN_HALVES.get(context.tokens[at].key)
    return None if text is None else WrittenNumber(at, at, (text,))
