"""The English words that recognizers go by: `english.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


def words_of(section: str, key: str) -> frozenset[str]:
    """One of the lists."""
    return frozenset(words_in_order(section, key))


def words_in_order(section: str, key: str) -> list[str]:
    """One of the lists whose order means something."""
    # As tokens have words: without an 's.
    return [word.removesuffix("'s") for word in str(_lists()[section][key]).split()]


@cache
def _lists() -> dict[str, dict[str, Any]]:
    return tomllib.loads((files("shared.redaction") / "english.toml").read_text(encoding="utf-8"))
