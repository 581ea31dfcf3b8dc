"""The language of subscription filters: a text becomes a predicate over a message's attributes.

condition := term | term AND term ... | term OR term ...      (both in one condition take parentheses)
term      := NOT term | -term | ( condition ) | test
test      := attributes:KEY | attributes.KEY = "value" | attributes.KEY != "value"
           | hasPrefix(attributes.KEY, "value")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from infra.emulators.pubsub.errors import InvalidArgumentError

Filter = Callable[[Mapping[str, str]], bool]
"""Whether a message with these attributes is delivered."""

MAX_FILTER_BYTES = 256

_TOKEN = re.compile(r'\s*(?:\w[\w-]*|"(?:[^"\\]|\\["\\])*"|!=|[-=:.,()])', re.ASCII)


def parse_filter(text: str) -> Filter:
    """The predicate that `text` describes, the empty text letting everything pass; raises InvalidArgumentError."""
    if len(text.encode()) > MAX_FILTER_BYTES:
        raise InvalidArgumentError(f"The filter is longer than {MAX_FILTER_BYTES} bytes.")
    if not text.strip():
        return lambda attributes: True
    parser = _Parser(text)
    condition = parser.condition()
    parser.finish()
    return condition


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def finish(self) -> None:
        if self._peek():
            raise self._refusal()

    def condition(self) -> Filter:
        terms = [self._term()]
        joint = self._peek()
        if joint not in ("AND", "OR"):
            return terms[0]
        while self._accept(joint):
            terms.append(self._term())
        combine = all if joint == "AND" else any
        return lambda attributes: combine(term(attributes) for term in terms)

    def _term(self) -> Filter:
        if self._accept("NOT") or self._accept("-"):
            term = self._term()
            return lambda attributes: not term(attributes)
        if self._accept("("):
            condition = self.condition()
            self._expect(")")
            return condition
        return self._test()

    def _test(self) -> Filter:
        if self._accept("hasPrefix"):
            self._expect("(", "attributes", ".")
            key = self._key()
            self._expect(",")
            prefix = self._literal()
            self._expect(")")
            return lambda attributes: key in attributes and attributes[key].startswith(prefix)
        self._expect("attributes")
        if self._accept(":"):
            key = self._key()
            return lambda attributes: key in attributes
        self._expect(".")
        key = self._key()
        if self._accept("!="):
            value = self._literal()
            return lambda attributes: attributes.get(key) != value
        self._expect("=")
        value = self._literal()
        return lambda attributes: attributes.get(key) == value

    def _key(self) -> str:
        if self._peek().startswith('"'):
            return self._literal()
        if not re.match(r"\w", self._peek()):
            raise self._refusal()
        return self._take()

    def _literal(self) -> str:
        if not self._peek().startswith('"'):
            raise self._refusal()
        return re.sub(r"\\(.)", r"\1", self._take()[1:-1])

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if not self._accept(token):
                raise self._refusal()

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next += 1
        return True

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _refusal(self) -> InvalidArgumentError:
        return _refusal(self._text, self._peek() or "its end")


def _tokens(text: str) -> list[str]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _refusal(text, text[position:].strip())
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


def _refusal(text: str, rest: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"The filter {text!r} is not understood at {rest!r}.")
