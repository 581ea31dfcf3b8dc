"""Lists of words by language, that are files of this package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources


class WordList(StrEnum):
    """The file of a list."""

    FILLERS = "fillers.toml"
    SWEAR_WORDS = "swear_words.toml"


def words_of(words: WordList, language: str) -> frozenset[str] | None:
    """The words of a language (BCP 47) in small letters; None where there is no list of it."""
    return _lists(words).get(language.partition("-")[0].lower())


@cache
def _lists(words: WordList) -> Mapping[str, frozenset[str]]:
    text = resources.files(__package__).joinpath(words).read_text(encoding="utf-8")
    return {language: frozenset(listed.split()) for language, listed in tomllib.loads(text).items()}
