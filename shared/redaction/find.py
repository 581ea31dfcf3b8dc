"""Everything that is to be redacted in the words of one speaker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.redaction.emails import find_emails
from shared.redaction.entities import Entity, without_overlaps
from shared.redaction.kinds import Redact
from shared.redaction.names import find_names
from shared.redaction.numbers import find_all_numbers, find_personal_numbers
from shared.redaction.places import find_addresses, find_births
from shared.redaction.request import RedactionRequest
from shared.redaction.terms import find_terms
from shared.redaction.tokens import Token, tokens_of

LANGUAGE = "en"
"""Of number words, names and what stands around them. E-mail addresses and numbers in digits are found in any."""


def find_entities(words: Sequence[str], request: RedactionRequest) -> list[Entity]:
    """The words of one speaker, in order -> what is to be redacted, in order, no word twice."""
    return without_overlaps(_found(tokens_of(words), request))


def _found(tokens: Sequence[Token], request: RedactionRequest) -> Iterator[Entity]:
    if Redact.CUSTOM in request.kinds:
        yield from find_terms(tokens, request.terms)
    if Redact.PII in request.kinds:
        yield from find_emails(tokens)
        yield from find_addresses(tokens)
        yield from find_births(tokens)
        yield from find_personal_numbers(tokens)
        yield from find_names(tokens)
    if Redact.NUMBERS in request.kinds:
        yield from find_all_numbers(tokens)
