"""Words as recognizers compare them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_AROUND = ".,;:!?¿¡…\"'`()[]{}<>“”«»—\u2018\u2019\u2013"
_SENTENCE_END = (".", "!", "?", "…")


@dataclass(frozen=True)
class Token:
    """One word of a transcript."""

    text: str
    """Lower case, composed, without punctuation around it and without a possessive 's."""
    written: str
    """As it stands in the transcript."""
    is_capitalized: bool
    begins_sentence: bool


def tokens_of(words: Iterable[str]) -> list[Token]:
    """The words of a speaker, in order; one token for each."""
    tokens: list[Token] = []
    begins = True
    for word in words:
        bare = word.strip().strip(_AROUND)
        first = bare[:1]
        tokens.append(Token(normalized(word), word, first.isupper(), begins))
        begins = word.rstrip("\"')]”\u2019").endswith(_SENTENCE_END)
    return tokens


def normalized(word: str) -> str:
    """A word as tokens have it."""
    text = unicodedata.normalize("NFKC", word).lower().replace("\u2019", "'").strip().strip(_AROUND)
    return text.removesuffix("'s")


def is_cased(tokens: Sequence[Token]) -> bool:
    """Whether capitals mean something in the text: some engines write none, or nothing else."""
    capitals = sum(token.is_capitalized for token in tokens)
    return 0 < capitals < 0.6 * len(tokens)
