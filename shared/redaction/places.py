"""Street addresses and dates of birth: by the words around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shared.redaction.digits import digit_runs, digits_at
from shared.redaction.english import words_of
from shared.redaction.entities import Entity, Label
from shared.redaction.tokens import Token

_STREETS = words_of("places", "streets")
_LONGEST_HOUSE_NUMBER = 8
"""Digits, as `one thousand two hundred` is read: 1, 000, 2, 00."""
_MOST_STREET_WORDS = 4
"""Between the house number and the kind of street."""
_UNITS = words_of("places", "units")
_MOST_CITY_WORDS = 6
"""Between the street and the postal code."""
_POSTAL_DIGITS = frozenset({5, 9})
_UK_POSTCODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}")
_NOT_IN_STREETS = words_of("places", "not_in_streets")

_BIRTH = (
    ("date", "of", "birth"),
    ("dob",),
    ("birthday",),
    ("birth", "date"),
    ("birthdate",),
    ("born", "on"),
    ("born", "in"),
    ("was", "born"),
)
_MONTHS = words_of("places", "months")
_ORDINALS = words_of("places", "ordinals")
_DATE_GLUE = frozenset({"the", "of", "and", "slash", "dash", "hyphen"})
_BIRTH_GAP = 4
"""Words between `date of birth` and the date."""


def find_addresses(tokens: Sequence[Token]) -> Iterator[Entity]:
    """House number and street, with what follows up to the postal code; and British postcodes."""
    for run in digit_runs(tokens):
        if len(run.digits) > _LONGEST_HOUSE_NUMBER:
            continue
        street = _street_end(tokens, run.last + 1)
        if street is not None:
            yield Entity(run.first, _postal_end(tokens, _unit_end(tokens, street)), Label.ADDRESS)
    yield from _uk_postcodes(tokens)


def _street_end(tokens: Sequence[Token], at: int) -> int | None:
    for position in range(at, min(len(tokens), at + _MOST_STREET_WORDS + 1)):
        text = tokens[position].text
        if text in _STREETS and position > at:
            return position
        if text in _NOT_IN_STREETS or (tokens[position].written.endswith((".", "?", "!")) and text not in {"st", "n"}):
            return None
    return None


def _unit_end(tokens: Sequence[Token], last: int) -> int:
    """With `apartment four b` behind it."""
    at = last + 1
    if at < len(tokens) and tokens[at].text in _UNITS and at + 1 < len(tokens):
        said = digits_at(tokens, at + 1)
        end = at + 1 if said is None else said.end - 1
        if said is None and len(tokens[end].text) > 2:
            return last
        while end + 1 < len(tokens) and (len(tokens[end + 1].text) == 1 or digits_at(tokens, end + 1) is not None):
            said = digits_at(tokens, end + 1)
            end = end + 1 if said is None else said.end - 1
        return end
    return last


def _postal_end(tokens: Sequence[Token], last: int) -> int:
    """With city, state and postal code behind it, where there is one soon."""
    for run in digit_runs(tokens[last + 1 : last + 1 + _MOST_CITY_WORDS + 6]):
        is_near = run.first <= _MOST_CITY_WORDS
        if is_near and len(run.digits) in _POSTAL_DIGITS and not run.is_amount:
            return last + 1 + run.last
    return last


def _uk_postcodes(tokens: Sequence[Token]) -> Iterator[Entity]:
    at = 0
    while at < len(tokens):
        text, end = "", at
        pieces: list[tuple[str, int]] = []
        while end < len(tokens) and len(text) < 8:
            said = digits_at(tokens, end)
            piece = tokens[end].text if said is None else said.digits
            is_piece = said is not None or len(piece) == 1 or re.fullmatch(r"[a-z]{1,2}\d[a-z\d]?|\d[a-z]{2}", piece)
            if not is_piece or not piece.isalnum():
                break
            end = end + 1 if said is None else said.end
            text += piece
            pieces.append((text, end))
        found = next((until for whole, until in reversed(pieces) if _UK_POSTCODE.fullmatch(whole)), None)
        if found is not None:
            yield Entity(at, found - 1, Label.ADDRESS)
        at = found if found is not None else at + 1


def find_births(tokens: Sequence[Token]) -> Iterator[Entity]:
    """The date behind `date of birth`, `born on` and the like."""
    texts = [token.text for token in tokens]
    for phrase in _BIRTH:
        for start in range(len(texts) - len(phrase) + 1):
            if tuple(texts[start : start + len(phrase)]) != phrase:
                continue
            behind = start + len(phrase)
            for at in range(behind, min(len(texts), behind + _BIRTH_GAP)):
                end = _date_end(tokens, at)
                if end is not None:
                    yield Entity(at, end, Label.DATE_OF_BIRTH)
                    break


def _date_end(tokens: Sequence[Token], at: int) -> int | None:
    """The last word of a date that begins here."""
    end, digits, has_month = None, 0, False
    position = at
    while position < len(tokens):
        text = tokens[position].text
        said = digits_at(tokens, position)
        if text in _MONTHS:
            has_month, end, position = True, position, position + 1
        elif said is not None:
            digits, end, position = digits + len(said.digits), said.end - 1, said.end
        elif text in _ORDINALS or any(text.endswith(f"-{ordinal}") for ordinal in _ORDINALS):
            digits, end, position = digits + 2, position, position + 1
        elif text in _DATE_GLUE and end is not None:
            position += 1
        else:
            break
    return end if has_month or digits >= 4 else None
