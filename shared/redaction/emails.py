"""E-mail addresses, written (`john.smith@example.com`) and spoken (`john dot smith at example dot com`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from shared.redaction.digits import digits_at
from shared.redaction.english import words_of
from shared.redaction.entities import Entity, Label
from shared.redaction.tokens import Token

_WRITTEN = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]{2,}")
_LEFT_WRITTEN = re.compile(r"[^\s@]+@[^\s@]*")
_JOINTS = frozenset({"dot", "point", "underscore", "dash", "hyphen", "plus", "period", "."})
_DOTS = frozenset({"dot", "point", "period", "."})
_ENDS = words_of("emails", "ends")
"""Last parts of domains, as they are said. `dot` and another word behind a domain count, too."""
_LONGEST_DOMAIN = 6
"""Words of a domain before its last dot."""
_LEADING = words_of("emails", "leading")
"""What is said before an address and is no part of it."""
_NOT_IN_DOMAINS = words_of("emails", "not_in_domains")
_LONGEST_LOCAL = 12
_MOST_NAMES = 2
"""Words that are taken for the local part where nothing joins them: `john smith at example dot com`."""


def find_emails(tokens: Sequence[Token]) -> Iterator[Entity]:
    """Addresses, whole."""
    for at, token in enumerate(tokens):
        bare = token.written.strip(" ,;:!?\"'()<>.")
        if _WRITTEN.fullmatch(bare):
            yield Entity(at, at, Label.EMAIL)
        elif _LEFT_WRITTEN.fullmatch(bare):
            end = _domain_end(tokens, at)
            if end is not None:
                yield Entity(at, end, Label.EMAIL)
        elif token.text in {"at", "@"} and at > 0:
            end = _domain_end(tokens, at)
            if end is not None:
                yield Entity(_local_start(tokens, at - 1), end, Label.EMAIL)


def _domain_end(tokens: Sequence[Token], at: int) -> int | None:
    """The last word of a domain that begins behind `at`; None where none does."""
    last = None
    position = at + 1
    if position < len(tokens):
        bare = tokens[position].text
        if re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}", bare):
            return position
    while position < min(len(tokens) - 1, at + 1 + _LONGEST_DOMAIN):
        if tokens[position].text in _DOTS and position > at + 1:
            following = tokens[position + 1].text
            is_end = following in _ENDS or (last is None and len(following) <= 6 and following.isalpha())
            if not is_end:
                break
            last = position + 1
            position += 2
            continue
        if last is not None or tokens[position].text in _NOT_IN_DOMAINS:
            break
        position += 1
    return last


def _local_start(tokens: Sequence[Token], last: int) -> int:
    """The first word of the local part that ends at `last`."""
    at, names = last, 0
    while at > 0 and last - at < _LONGEST_LOCAL:
        before = tokens[at - 1]
        if before.text in _JOINTS and at >= 2:
            at -= 2
            continue
        is_piece = len(before.text) == 1 and before.text.isalpha()
        here_is_piece = len(tokens[at].text) == 1 or digits_at(tokens, at) is not None
        if (is_piece and before.text not in {"i"}) or digits_at(tokens, at - 1) is not None:
            at -= 1
        elif (here_is_piece or names < _MOST_NAMES - 1) and before.text not in _LEADING and not _ends(before):
            at, names = at - 1, names + 1
            if names >= _MOST_NAMES:
                break
        else:
            break
    return at


def _ends(token: Token) -> bool:
    return token.written.rstrip("\"')").endswith((".", "!", "?", ":", ","))
