"""In which language an upload's people speak, as far as its owner knows: a BCP 47 tag, several, or `auto`."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from shared.formats.languages import two_letters

AUTO = "auto"
UNDETERMINED = "und"
"""BCP 47: the language of a transcript that nobody knows."""
MULTI = "multi"
"""Deepgram's name of a language that changes within a recording, for LANGUAGE alone: it has a price of its own, and
says nothing to other engines. An upload's owner names the languages, and a model that has all of them is asked so."""
MOST_LANGUAGES = 10
"""In a list. More are nobody's knowledge of a recording: `auto` says as much."""
LONGEST_TAG = 35
"""Characters, as RFC 5646 (section 4.4.1) recommends to have room for."""

_TAG = re.compile(
    r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?((?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)", re.ASCII
)
"""Language, script, region, variants (RFC 5646, section 2.1). Extensions and private use say nothing of speech."""

_THREE_LETTERS = frozenset(
    ["ast", "ceb", "ckb", "fil", "gsw", "haw", "hmn", "kea", "kmr", "nan", "nso", "umb", "wuu", "yue"]
)
"""Languages without a code of two letters that some speech recognition has (Whisper, Google, Omnilingual ASR)."""


class LanguageChoice(BaseModel):
    """One language that is spoken; of several, some of them; of none given, whichever is heard."""

    model_config = ConfigDict(frozen=True)

    tags: Annotated[tuple[Annotated[str, Field(max_length=LONGEST_TAG)], ...], Field(max_length=MOST_LANGUAGES)] = ()
    """BCP 47 tags, each once, in the case that RFC 5646 recommends: de, pt-BR, zh-Hant. Empty: auto."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"tags": _tags(value)} if isinstance(value, str) else value

    @model_serializer
    def _as_text(self) -> str:
        return str(self)

    @model_validator(mode="after")
    def _are_tags(self) -> Self:
        if any(language_tag(tag) != tag for tag in self.tags):
            raise ValueError("these are not language tags")
        return self

    @property
    def known(self) -> str | None:
        """The one language; None where it is to be found."""
        return self.tags[0] if len(self.tags) == 1 else None

    @property
    def codes(self) -> tuple[str, ...]:
        """The tags' languages without script and region, each once."""
        return tuple(dict.fromkeys(map(primary_language, self.tags)))

    def __str__(self) -> str:
        """As `parse_language_choice` takes it."""
        return ",".join(self.tags) or AUTO


def parse_language_choice(value: str) -> LanguageChoice:
    """`de`, `pt-BR`, `de,en` or `auto`, in any case. Raises ValueError, which says what is wrong with it."""
    return LanguageChoice(tags=_tags(value))


def deployment_language(setting: str) -> LanguageChoice:
    """What LANGUAGE says. Deepgram's `multi`, several languages within a recording, is for others as good as `auto`."""
    return LanguageChoice() if setting.strip().lower() == MULTI else parse_language_choice(setting)


def _tags(value: str) -> tuple[str, ...]:
    parts = [part.strip() for part in value.split(",")]
    if [part.lower() for part in parts] == [AUTO]:
        return ()
    if len(parts) > MOST_LANGUAGES:
        raise ValueError(f"{len(parts)} languages are more than {MOST_LANGUAGES}")
    tags = []
    for part in parts:
        tag = language_tag(part)
        if part.lower() == MULTI:
            raise ValueError(f"{MULTI!r} is no language: name those that are spoken, such as de,en, or {AUTO}")
        if tag is None:
            shown = part if len(part) <= LONGEST_TAG else f"{part[:LONGEST_TAG]}…"
            raise ValueError(f"{shown!r} is no language")
        tags.append(tag)
    return tuple(dict.fromkeys(tags))


def language_tag(value: str) -> str | None:
    """A tag such as `DE`, `ger`, `pt_br` or `zh-hant` as BCP 47 has it: de, de, pt-BR, zh-Hant; None: it is none."""
    match = _TAG.fullmatch(value.strip().lower().replace("_", "-")) if len(value) <= LONGEST_TAG else None
    if match is None:
        return None
    code = two_letters(match[1]) or (match[1] if match[1] in _THREE_LETTERS else None)
    if code is None:
        return None
    subtags = [match[2].title() if match[2] else "", match[3].upper() if match[3] else ""]
    return "-".join([code, *filter(None, subtags)]) + match[4]


def primary_language(tag: str) -> str:
    """The language of a tag, without script and region: pt of pt-BR."""
    return tag.partition("-")[0].lower()
