"""Words as recognizers compare them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_AROUND = ".,;:!?¿¡…\"'`()[]{}<>“”«»—\u2018\u2019\u2013"


@dataclass(frozen=True)
class Token:
    """One word of a transcript."""

    text: str
    """Lower case, composed, without punctuation around it and without a possessive 's."""
    written: str
    """As it stands in the transcript."""
    is_capitalized: bool


def tokens_of(words: Iterable[str]) -> list[Token]:
    """The words of a speaker, in order; one token for each."""
    tokens: list[Token] = []
    for word in words:
        first = word.strip().strip(_AROUND)[:1]
        tokens.append(Token(normalized(word), word, first.isupper()))
    return tokens


def normalized(word: str) -> str:
    """A word as tokens have it."""
    text = unicodedata.normalize("NFKC", word).lower().replace("\u2019", "'").strip().strip(_AROUND)
    return text.removesuffix("'s")


def is_cased(tokens: Sequence[Token]) -> bool:
    """Whether capitals mean something in the text: some engines write none, or nothing else."""
    capitals = sum(token.is_capitalized for token in tokens)
    return 0 < capitals < 0.6 * len(tokens)
