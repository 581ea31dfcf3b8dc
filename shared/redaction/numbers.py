"""Which numbers are somebody's: cards, phones, accounts. By their digits and by what is said around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shared.redaction.digits import Run, digit_runs, digits_at, has_number
from shared.redaction.english import words_of
from shared.redaction.entities import Entity, Label
from shared.redaction.tokens import Token

PHONE_REGIONS = ("US", "GB")
"""Whose numbers are known without a country code."""

_BEFORE, _BEHIND = 8, 4
"""Words that count as around a number."""
_LONG_DIGITS = 6
"""Digits of a number that is not an amount: shorter ones are years, counts and doors more often than anything else."""
_CARD_DIGITS = range(13, 20)
_PHONE_DIGITS = range(7, 16)

_PHONE_WORDS = words_of("personal", "phone")
_CARD_WORDS = words_of("personal", "card")
_CODE_WORDS = words_of("personal", "code")
_ACCOUNT_WORDS = words_of("personal", "account")
_POSTAL_WORDS = words_of("personal", "postal")
_SAID_CODES = words_of("personal", "said_codes")
_BEFORE_CODES = words_of("personal", "before_codes")
_OWNERS = words_of("personal", "owners")
_PUBLIC_CODES = words_of("personal", "public_codes")
_COUNTED = words_of("numbers", "counted")
_LEAST_CODE_DIGITS = 3


_MIXED = re.compile(r"[a-z]{1,3}\d{1,4}")


def find_all_numbers(tokens: Sequence[Token]) -> Iterator[Entity]:
    """Every number. A lone `one` or `oh` is none."""
    for run in digit_runs(tokens):
        if run.first < run.last or tokens[run.first].text != "one":
            yield Entity(run.first, run.last, Label.NUMBER)
    yield from (Entity(at, at, Label.NUMBER) for at, token in enumerate(tokens) if has_number(token.text))


def find_personal_numbers(tokens: Sequence[Token]) -> Iterator[Entity]:
    """Numbers of cards, phones, accounts and people."""
    covered = -1
    for run in digit_runs(tokens):
        if run.first <= covered:
            continue
        first, last, characters = _with_letters(tokens, run)
        covered = last
        label = _label(tokens, run, characters)
        if label is not None:
            yield Entity(first, last, label)


def _label(tokens: Sequence[Token], run: Run, characters: str) -> Label | None:
    count, digits = len(run.digits), run.digits
    around = {token.text for token in tokens[max(0, run.first - _BEFORE) : run.last + 1 + _BEHIND]}
    if len(characters) > count and _is_iban(characters):
        return Label.BANK_ACCOUNT
    if run.is_amount:
        return None
    if count in _CARD_DIGITS and (_has_check_digit(digits) or around & _CARD_WORDS):
        return Label.CARD
    if count >= _LEAST_CODE_DIGITS and around & _CODE_WORDS:
        return Label.CARD
    if count == 9 and around & {"social", "ssn"}:
        return Label.SSN
    if count in _PHONE_DIGITS and (_is_phone(digits) or around & (_PHONE_WORDS - {"number"})):
        return Label.PHONE
    if count in {5, 9} and around & _POSTAL_WORDS:
        return Label.ADDRESS
    if count >= _LEAST_CODE_DIGITS and around & (_ACCOUNT_WORDS | _CARD_WORDS):
        return Label.NUMBER
    if count >= _LEAST_CODE_DIGITS and _is_said_code(tokens, run):
        return Label.NUMBER
    return Label.NUMBER if max(count, len(characters) if len(characters) > count else 0) >= _LONG_DIGITS else None


def _is_said_code(tokens: Sequence[Token], run: Run) -> bool:
    """Whether the words right before or behind say that it is a code: `my code is ...`, `... is my code`."""
    at = run.first - 1
    while at >= 0 and tokens[at].text in _BEFORE_CODES:
        at -= 1
    if at >= 0 and tokens[at].text in _SAID_CODES:
        is_end = run.last + 1 == len(tokens) or tokens[run.last].written.endswith((".", ",", "!", "?", ";", ":"))
        if not is_end and tokens[run.last + 1].text in _COUNTED:
            return False  # "the code is now 400 lines"
        return at == 0 or tokens[at - 1].text not in _PUBLIC_CODES
    behind = [token.text for token in tokens[run.last + 1 : run.last + 4]]
    return len(behind) == 3 and behind[0] in {"is", "as"} and behind[1] in _OWNERS and behind[2] in _SAID_CODES


def _with_letters(tokens: Sequence[Token], run: Run) -> tuple[int, int, str]:
    """The run with letters that are spelled beside and between its digits: `g b two nine n w b k ...`."""
    first, last, characters = run.first, run.last, run.digits
    letters = ""
    if first > 0 and _MIXED.fullmatch(tokens[first - 1].text):  # DE89 of an IBAN
        first -= 1
        letters = tokens[first].text
    while first > 0 and _is_spelled(tokens, first - 1):
        first -= 1
        letters = tokens[first].text + letters
    # A lone `a` or `i` is a word.
    if letters in {"a", "i"}:
        first, letters = run.first, ""
    characters = letters + characters
    while last + 1 < len(tokens):
        said = digits_at(tokens, last + 1)
        if said is not None:
            characters, last = characters + said.digits, said.end - 1
        elif _is_spelled(tokens, last + 1) and (tokens[last + 1].text not in {"a", "i"} or letters):
            characters, last = characters + tokens[last + 1].text, last + 1
        else:
            break
    return first, last, characters


def _is_spelled(tokens: Sequence[Token], at: int) -> bool:
    text = tokens[at].text
    return len(text) == 1 and text.isalpha() and text != "o"


def _has_check_digit(digits: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(digits))


def _is_iban(characters: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(characters.upper()))


def _is_phone(digits: str) -> bool:
    import phonenumbers

    for region in PHONE_REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    try:
        return len(digits) >= 10 and bool(phonenumbers.is_valid_number(phonenumbers.parse(f"+{digits}")))
    except phonenumbers.NumberParseException:
        return False
