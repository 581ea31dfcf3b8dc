"""Numbers as they are said: `four one one one`, `double five`, `forty one eleven`, `555-0134`, `eight hundred`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.redaction.english import words_in_order, words_of
from shared.redaction.tokens import Token, normalized

_UNITS = {word: str(value) for value, word in enumerate(words_in_order("numbers", "units"))}
_UNITS |= {"oh": "0", "o": "0", "nought": "0", "niner": "9"}
_TEENS = {word: str(value) for value, word in enumerate(words_in_order("numbers", "teens"), 10)}
_TENS = {word: str(value) for value, word in enumerate(words_in_order("numbers", "tens"), 2)}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_MAGNITUDES = frozenset({"thousand", "million", "billion", "trillion"})
_BETWEEN = words_of("numbers", "between")
"""Said between the digits of one number, by whoever takes it down, too."""
_PAIRS_BETWEEN = frozenset(tuple(pair.split("_")) for pair in words_of("numbers", "between_pairs"))
_IN_PAIRS = frozenset(word for pair in _PAIRS_BETWEEN for word in pair)
_MOST_BETWEEN = 3
"""Words of those in a row."""
_HEARD_FOR_DIGITS = {"to": "2", "too": "2", "for": "4", "ate": "8", "won": "1"}
"""Among digits, most likely one, too."""
_LEAST_AROUND = 2
"""So many digits' words have to stand on either side of such a word."""
_WRITTEN = re.compile(r"[+#$€£]?\(?\d[\d().,/:%+-]*(?:st|nd|rd|th|k|m)?")
_AMOUNT = re.compile(r"[$€£]|%|,\d{3}\b|\d\.\d{1,2}$|[km]$")
_UNIT_WORDS = words_of("numbers", "amount_units")
"""Behind a number they make it an amount."""


@dataclass(frozen=True)
class Said:
    """What one token, or a few that belong together, say."""

    digits: str
    end: int
    """One past the last token."""
    is_amount: bool = False


@dataclass(frozen=True)
class Run:
    """Numbers that follow each other."""

    first: int
    last: int
    digits: str
    is_amount: bool
    """Of money, time and the like, or with thousands: a quantity, which names nobody."""


def is_said_between(word: str) -> bool:
    """Whether a word of a transcript is what is said between the digits of one number, and none of them."""
    return normalized(word) in _BETWEEN | _IN_PAIRS


def digits_at(tokens: Sequence[Token], at: int) -> Said | None:
    """The number that begins with a token; None where none does."""
    text = tokens[at].text
    if "-" in text and not any(character.isdigit() for character in text):
        return _of_parts(text.split("-"), at + 1)
    following = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if text in _REPEATS:
        said = _UNITS.get(following) or (following if len(following) == 1 and following in "0123456789" else None)
        return None if said is None else Said(said * _REPEATS[text], at + 2)
    if text in _UNITS:
        if following == "hundred":
            return Said(f"{_UNITS[text]}00", at + 2)
        return Said(_UNITS[text], at + 1)
    if text in _TEENS:
        return Said(_TEENS[text], at + 1)
    if text in _TENS:
        unit = _UNITS.get(following, "0")
        if unit != "0":
            return Said(_TENS[text] + unit, at + 2)
        return Said(f"{_TENS[text]}0", at + 1)
    if text in _MAGNITUDES or text == "hundred":
        return Said("000" if text == "thousand" else "00", at + 1, is_amount=True)
    written = tokens[at].written.strip(" .,;:!?\"'")
    if _WRITTEN.fullmatch(written):
        digits = "".join(character for character in written if character.isdigit())
        return Said(digits, at + 1, is_amount=bool(_AMOUNT.search(written)))
    return None


def has_number(text: str) -> bool:
    """Whether a number stands in a word: `B52`, `covid-19`, `forty-two-year-old`, `⅔`. `one-sided` has none."""
    known = _UNITS.keys() | _TEENS.keys() | _TENS.keys()
    parts = text.split("-")
    return any(map(str.isnumeric, text)) or (len(parts) > 1 and bool(known & set(parts) - {"one", "o", "oh"}))


def _of_parts(parts: Sequence[str], end: int) -> Said | None:
    """`forty-one`, `five-five-five`."""
    digits = ""
    for at, part in enumerate(parts):
        if part in _TENS:
            digits += _TENS[part] + ("" if at + 1 < len(parts) and parts[at + 1] in _UNITS else "0")
        elif part in _UNITS or part in _TEENS:
            digits += _UNITS.get(part) or _TEENS[part]
        else:
            return None
    return Said(digits, end) if digits else None


def digit_runs(tokens: Sequence[Token]) -> Iterator[Run]:
    """All numbers, those that follow each other as one."""
    at = 0
    while at < len(tokens):
        said = digits_at(tokens, at)
        if said is None or tokens[at].text == "o" or (tokens[at].text == "oh" and not _follows(tokens, at)):
            at += 1
            continue
        first, digits, is_amount, pieces = at, "", False, 0
        end = at
        while said is not None:
            digits, end, pieces = digits + said.digits, said.end, pieces + 1
            is_amount = is_amount or said.is_amount
            following = _beyond(tokens, end, pieces)
            said = None if following is None else digits_at(tokens, following)
            if following is not None and following > end and tokens[following - 1].text in _HEARD_FOR_DIGITS:
                digits += _HEARD_FOR_DIGITS[tokens[following - 1].text]
        behind = tokens[end].text if end < len(tokens) else ""
        yield Run(first, end - 1, digits, is_amount or behind in _UNIT_WORDS)
        at = end


def _follows(tokens: Sequence[Token], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1].text != "o" and digits_at(tokens, at + 1) is not None


def _beyond(tokens: Sequence[Token], at: int, pieces: int) -> int | None:
    """Where the run goes on; None where it ends."""
    if at >= len(tokens):
        return None
    if digits_at(tokens, at) is not None:
        return at
    behind = at
    while behind < at + _MOST_BETWEEN and (length := _between(tokens, behind)):
        behind += length
        if behind < len(tokens) and digits_at(tokens, behind) is not None:
            return behind
    if at + 1 >= len(tokens) or digits_at(tokens, at + 1) is None:
        return None
    text = tokens[at].text
    if text == "and" and tokens[at - 1].text in {"hundred", *_MAGNITUDES}:
        return at + 1
    if text in _HEARD_FOR_DIGITS and pieces >= _LEAST_AROUND and at + 2 < len(tokens):
        return at + 1 if digits_at(tokens, at + 2) is not None else None
    return None


def _between(tokens: Sequence[Token], at: int) -> int:
    """How many words at a place are what is said between digits."""
    texts = tuple(token.text for token in tokens[at : at + 2])
    if texts in _PAIRS_BETWEEN:
        return 2
    return 1 if texts and texts[0] in _BETWEEN else 0
