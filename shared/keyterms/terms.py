"""Names and words that an upload's owner expects, and how strongly engines are to favour them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from math import isfinite
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.errors import Rejected

MOST_KEYTERMS = 200
"""Of one upload. More favour so much that they favour nothing."""

LONGEST_KEYTERM = 100
"""Characters of a phrase."""

LEAST_WEIGHT, MOST_WEIGHT = 0.1, 5.0
"""1 is what terms without a weight have; with 5 a term is written where something like it is said."""

MOST_FILE_BYTES = 64 * 1024
"""Of a list in the bucket: 200 phrases of 100 characters are 20 KB in ASCII, and up to 60 KB in other scripts."""

FILE_NAME = "keyterms.txt"
"""What the name of a list in the bucket is or, behind a dot, ends with: such objects are no uploads."""

Phrase = Annotated[str, Field(min_length=1, max_length=LONGEST_KEYTERM)]
Weight = Annotated[float, Field(ge=LEAST_WEIGHT, le=MOST_WEIGHT, allow_inf_nan=False)]


class Keyterm(BaseModel):
    """A phrase as it is to be written."""

    model_config = ConfigDict(frozen=True)

    phrase: Phrase
    weight: Weight = 1.0

    @field_validator("phrase")
    @classmethod
    def _is_phrase(cls, phrase: str) -> str:
        return _normalized(phrase)

    def __str__(self) -> str:
        """As `parse_keyterms` takes it."""
        # Of a phrase that ends like a weight the weight is always written.
        plain = self.weight == 1.0 and _split_weight(self.phrase)[1] is None
        return self.phrase if plain else f"{self.phrase}:{self.weight:g}"


Keyterms = Annotated[tuple[Keyterm, ...], Field(max_length=MOST_KEYTERMS)]


def is_keyterms_file(name: str) -> bool:
    """Whether an object is a list of key terms, which is not transcribed: `keyterms.txt`, `medical.keyterms.txt`."""
    file = name.rpartition("/")[2].lower()
    return file == FILE_NAME or file.endswith(f".{FILE_NAME}")


def parse_keyterms(value: str) -> tuple[Keyterm, ...]:
    """`Parakeet:2; Cloud Run` -> the terms, in that order. Raises ValueError, with what is wrong."""
    return merged(_term(part) for part in value.split(";") if part.strip())


def parse_keyterms_file(name: str, content: bytes) -> tuple[Keyterm, ...]:
    """A list in the bucket: UTF-8, a term a line, `#` before a remark. Raises Rejected, with the line that is wrong."""
    if len(content) > MOST_FILE_BYTES:
        raise Rejected(f"The key terms in {name[:200]!r} are longer than {MOST_FILE_BYTES // 1024} KiB.")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Rejected(f"The key terms in {name[:200]!r} are no text in UTF-8.") from None
    terms: list[Keyterm] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                terms.append(_term(line))
            except ValueError as error:
                raise Rejected(f"The key terms in {name[:200]!r}, line {number}: {error}.") from None
    try:
        return merged(terms)
    except ValueError as error:
        raise Rejected(f"The key terms in {name[:200]!r}: {error}.") from None


def merged(terms: Iterable[Keyterm]) -> tuple[Keyterm, ...]:
    """Each phrase once, where it comes first, with the higher weight. Raises ValueError where they are too many."""
    by_phrase: dict[str, Keyterm] = {}
    for term in terms:
        known = by_phrase.get(term.phrase)
        by_phrase[term.phrase] = term if known is None or known.weight < term.weight else known
    if len(by_phrase) > MOST_KEYTERMS:
        raise ValueError(f"there are more than {MOST_KEYTERMS} phrases")
    return tuple(by_phrase.values())


def joined(terms: Iterable[Keyterm]) -> str:
    """As `parse_keyterms` takes them."""
    return "; ".join(map(str, terms))


def _term(text: str) -> Keyterm:
    """Raises ValueError."""
    phrase, weight = _split_weight(text)
    phrase = _normalized(phrase)
    if weight is not None and not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise ValueError(f"the weight of {phrase!r} has to be {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}")
    return Keyterm(phrase=phrase, weight=1.0 if weight is None else weight)


def _normalized(text: str) -> str:
    """A phrase with composed characters and single spaces. Raises ValueError where it is none."""
    phrase = " ".join(unicodedata.normalize("NFC", text).split())
    if not phrase or not phrase.isprintable() or ";" in phrase:
        raise ValueError(f"{text[:LONGEST_KEYTERM].strip()!r} is no phrase")
    if not any(char.isalnum() for char in phrase):
        raise ValueError(f"{phrase[:LONGEST_KEYTERM]!r} has no letter and no digit")
    if len(phrase) > LONGEST_KEYTERM:
        raise ValueError(f"{phrase[:LONGEST_KEYTERM]!r}... is longer than {LONGEST_KEYTERM} characters")
    return phrase


def _split_weight(text: str) -> tuple[str, float | None]:
    """A phrase, and the number behind its last colon, if one stands there. `ratio 3:1:1` is `ratio 3:1` of weight 1."""
    phrase, colon, number = text.rpartition(":")
    stripped = number.strip()
    if not colon or not stripped or not stripped.isascii() or not set(stripped) <= set("0123456789.+-eE"):
        return text, None
    try:
        weight = float(stripped)
    except ValueError:
        return text, None
    return phrase, weight if isfinite(weight) else MOST_WEIGHT + 1
