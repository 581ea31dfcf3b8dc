"""As much of Cloud Logging's query language as our metrics use, evaluated on one log entry.

Fields are compared with `=`, `>`, `>=`; OR binds tighter than AND, as the language has it; a field that is missing or
null compares as false ("Logging query language": comparison operators, Boolean operators, missing fields).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any

Entry = Mapping[str, Any]

_TOKEN = re.compile(r'\s*(\(|\)|>=|=|>|AND\b|OR\b|"[^"]*"|[\w.]+)')
_COMPARE = {"=": lambda a, b: a == b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


def matches(query: str, entry: Entry) -> bool:
    """Whether an entry is chosen. Raises ValueError for what is not understood here."""
    tokens = _tokens(query)
    answer = _all(tokens, entry)
    if tokens:
        raise ValueError(f"not understood: {tokens[0]!r} in {query!r}")
    return answer


def extract(extractor: str, entry: Entry) -> Any:
    """`EXTRACT(jsonPayload.outcome)` -> that field; None where it is missing."""
    found = re.fullmatch(r"EXTRACT\(([\w.]+)\)", extractor)
    if found is None:
        raise ValueError(f"not understood: {extractor!r}")
    return _field(found[1], entry)


def _tokens(query: str) -> list[str]:
    tokens, at = [], 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            raise ValueError(f"not understood: {query[at:]!r}")
        tokens.append(found[1])
        at = found.end()
    return tokens


def _all(tokens: list[str], entry: Entry) -> bool:
    answer = _any(tokens, entry)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        answer = _any(tokens, entry) and answer
    return answer


def _any(tokens: list[str], entry: Entry) -> bool:
    answer = _one(tokens, entry)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        answer = _one(tokens, entry) or answer
    return answer


def _one(tokens: list[str], entry: Entry) -> bool:
    if tokens[0] == "(":
        tokens.pop(0)
        answer = _all(tokens, entry)
        if tokens.pop(0) != ")":
            raise ValueError("a bracket is not closed")
        return answer
    path, operator, value = tokens.pop(0), tokens.pop(0), tokens.pop(0)
    found = _field(path, entry)
    wanted = value[1:-1] if value.startswith('"') else float(value)
    return found is not None and type(found) in _kin(wanted) and _COMPARE[operator](found, wanted)


def _kin(value: str | float) -> tuple[type, ...]:
    return (str,) if isinstance(value, str) else (int, float)


def _field(path: str, entry: Entry) -> Any:
    return reduce(lambda found, name: found.get(name) if isinstance(found, Mapping) else None, path.split("."), entry)
