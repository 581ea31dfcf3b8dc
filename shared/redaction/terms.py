"""Terms that an owner wants out of a transcript: phrases, and patterns in which `*` and `#` stand for something.

`project blue`, `acme*` (a word that begins so), `order ####` (a digit for each `#`, spoken or written). Upper and lower
case, and punctuation, make no difference. No regular expressions: one could keep a worker busy for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import translate

from shared.redaction.digits import digits_at
from shared.redaction.entities import Entity, Label
from shared.redaction.tokens import Token, normalized

MAX_TERMS = 200
MAX_TERM_CHARACTERS = 100


def is_usable_term(term: str) -> bool:
    """Whether it is more than marks that match any word: `*` alone would redact everything."""
    return term.isprintable() and all(
        any(character.isalnum() or character == "#" for character in normalized(word)) for word in term.split()
    )


def find_terms(tokens: Sequence[Token], terms: Sequence[str]) -> Iterator[Entity]:
    """Where one of the terms is said. `project blue` and `project-blue` are the same, in the term and in the text."""
    yield from _found(tokens, terms)
    parts = [(part, at) for at, token in enumerate(tokens) for part in _parts(token)]
    places = [at for _, at in parts]
    apart = [term for one in terms if is_usable_term(term := _HYPHEN.sub(" ", one)) and term.split()]
    for found in _found([part for part, _ in parts], apart) if len(parts) > len(tokens) or apart != [*terms] else ():
        yield Entity(places[found.first], places[found.last], found.label)


_HYPHEN = re.compile("[-\u2010\u2011]")


def _parts(token: Token) -> list[Token]:
    parts = [part for part in _HYPHEN.split(token.text) if part]
    return [replace(token, text=part, written=part) for part in parts] if len(parts) > 1 else [token]


def _found(tokens: Sequence[Token], terms: Sequence[str]) -> Iterator[Entity]:
    texts = [token.text.casefold() for token in tokens]
    for term in terms:
        words = term.split()
        matchers = [_matcher(word) for word in words]
        first = matchers[0]
        for start, text in enumerate(texts):
            if isinstance(first, re.Pattern) and first.fullmatch(text) is None:
                continue
            end = _match(tokens, texts, start, matchers)
            if end is not None:
                yield Entity(start, end - 1, Label.REDACTED)


def _matcher(word: str) -> re.Pattern[str] | int:
    """A pattern of one word, or how many digits are said, in however many words."""
    bare = word.strip(".,;:!?-")
    if bare and set(bare.replace("-", "")) == {"#"}:
        return bare.count("#")
    text = "".join(character if character in "*#" else re.sub(r"[\[\]?]", "", character) for character in word)
    compared = normalized(text.replace("#", "\0")).casefold() or text
    literal = translate(compared).replace("\\\x00", "\0").replace("\0", "[0-9]")
    # An atomic group after each `*` is what `translate` writes, so no word takes long.
    return re.compile(literal)


def _match(
    tokens: Sequence[Token], texts: Sequence[str], start: int, matchers: Sequence[re.Pattern[str] | int]
) -> int | None:
    """One past the last token of a match that begins at `start`."""
    at = start
    for matcher in matchers:
        if at >= len(tokens):
            return None
        if isinstance(matcher, int):
            digits, at_end = "", at
            while at_end < len(tokens) and len(digits) < matcher:
                said = digits_at(tokens, at_end)
                if said is None:
                    return None
                digits, at_end = digits + said.digits, said.end
            if len(digits) != matcher:
                return None
            at = at_end
        elif matcher.fullmatch(texts[at]):
            at += 1
        else:
            return None
    return at
