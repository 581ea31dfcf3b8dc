"""A request to make one object of several (`compose`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.emulators.storage.errors import invalid, not_supported
from infra.emulators.storage.object_store import ObjectKey
from infra.emulators.storage.uploads import NewObject, new_object

MAX_SOURCES = 32
_KNOWN_FIELDS = {"kind", "sourceObjects", "destination", "deleteSourceObjects"}
_KNOWN_SOURCE_FIELDS = {"name", "generation", "objectPreconditions"}


@dataclass(frozen=True)
class Source:
    """An object whose content becomes part of the new one's."""

    key: ObjectKey
    generation: int | None
    """None: the live one."""
    generation_match: int | None


@dataclass(frozen=True)
class Composition:
    """What is to be made of which objects."""

    new: NewObject
    sources: tuple[Source, ...]
    """In the order of their contents."""
    deletes_sources: bool


def composition(to: ObjectKey, body: dict[str, Any]) -> Composition:
    """Read the body of a request that composes `to`."""
    if unknown := sorted(set(body) - _KNOWN_FIELDS):
        raise not_supported(", ".join(unknown))
    listed = body.get("sourceObjects")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_SOURCES:
        raise invalid(f"An object is composed of 1 to {MAX_SOURCES} others.")
    new = new_object(to.bucket, {**(body.get("destination") or {}), "name": to.name}, None)
    return Composition(new, tuple(_source(to.bucket, one) for one in listed), bool(body.get("deleteSourceObjects")))


def _source(bucket: str, one: dict[str, Any]) -> Source:
    if unknown := sorted(set(one) - _KNOWN_SOURCE_FIELDS):
        raise not_supported(", ".join(unknown))
    expected = (one.get("objectPreconditions") or {}).get("ifGenerationMatch")
    return Source(ObjectKey(bucket, str(one.get("name"))), _number(one.get("generation")), _number(expected))


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
