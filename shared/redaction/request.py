"""What an upload's owner wants to have redacted, and how the audio of it sounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.terms import MAX_TERM_CHARACTERS, MAX_TERMS, is_usable_term

Term = Annotated[str, Field(min_length=1, max_length=MAX_TERM_CHARACTERS)]


class RedactionRequest(BaseModel):
    """What is to be redacted. Without a kind nothing is."""

    model_config = ConfigDict(frozen=True)

    kinds: tuple[Redact, ...] = ()
    terms: Annotated[tuple[Term, ...], Field(max_length=MAX_TERMS)] = ()
    """Phrases and patterns (`shared.redaction.terms`) of Redact.CUSTOM."""
    audio: AudioMasking = AudioMasking.MUTE

    @model_validator(mode="after")
    def _terms_are_words(self) -> Self:
        if not all(is_usable_term(term) for term in self.terms):
            raise ValueError("a term has no letter and no digit")  # not quoted: it must not be read
        return self

    @property
    def is_asked(self) -> bool:
        """Whether anything is to be redacted."""
        return bool(self.kinds)

    @property
    def of_terms(self) -> RedactionRequest:
        """Of the owner's terms alone."""
        return self.model_copy(update={"kinds": tuple(kind for kind in self.kinds if kind is Redact.CUSTOM)})

    @property
    def makes_audio(self) -> bool:
        """Whether a redacted recording is to be made."""
        return self.is_asked and self.audio is not AudioMasking.OFF


NOTHING_REDACTED = RedactionRequest()


def parse_kinds(value: str) -> tuple[Redact, ...]:
    """`pii,numbers,custom`, or some of them, in the order of the enum; `off` or nothing: none.

    Raises ValueError for anything else.
    """
    asked = {word.strip().lower() for word in value.split(",") if word.strip()}
    if asked <= {"off"}:
        return ()
    if not asked <= set(Redact):
        raise ValueError(value)
    return tuple(kind for kind in Redact if kind in asked)


def parse_terms(value: str) -> tuple[str, ...]:
    """Terms with commas or line ends between them, each once. Raises ValueError, which does not quote them."""
    terms = split_terms(value.replace("\n", ",").split(","))
    if len(terms) > MAX_TERMS or any(len(term) > MAX_TERM_CHARACTERS or not is_usable_term(term) for term in terms):
        raise ValueError("terms")
    return terms


def split_terms(terms: Iterable[str]) -> tuple[str, ...]:
    """Without spaces around and within them that mean nothing, each once."""
    return tuple(dict.fromkeys(term for one in terms if (term := " ".join(one.split()))))
