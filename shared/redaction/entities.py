"""What a recognizer finds: a stretch of words, and what they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """What stands in the place of redacted words, in brackets."""

    NAME = "NAME"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    ADDRESS = "ADDRESS"
    CARD = "CARD"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    SSN = "SSN"
    DATE_OF_BIRTH = "DATE_OF_BIRTH"
    NUMBER = "NUMBER"
    REDACTED = "REDACTED"
    """A term of the owner's."""

    @property
    def token(self) -> str:
        """As it stands in the transcript: `[NAME]`."""
        return f"[{self.value}]"


@dataclass(frozen=True, order=True)
class Entity:
    """`words[first:last + 1]`."""

    first: int
    last: int
    label: Label


def without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """In order, and no word in two: what touches the same word is one entity, with the label of the longest."""
    merged: list[Entity] = []
    longest = 0
    for entity in sorted(entities):
        length = entity.last - entity.first
        if merged and entity.first <= merged[-1].last:
            before = merged[-1]
            label = entity.label if length > longest else before.label
            merged[-1] = Entity(before.first, max(before.last, entity.last), label)
            longest = max(longest, length)
        else:
            merged.append(entity)
            longest = length
    return merged
