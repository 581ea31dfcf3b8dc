"""What an object is, and the conditions a request may put on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.emulators.storage.errors import InvalidRequestError, NotModifiedError, PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from infra.emulators.storage.content import Content

MAX_NAME_BYTES = 1024  # of UTF-8

WRITABLE_FIELDS = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "storageClass",
)


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """A bucket's name and an object's."""

    bucket: str
    name: str

    def check_name(self) -> None:
        """Raise InvalidRequestError unless Cloud Storage would let an object have this name."""
        try:
            size = len(self.name.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise InvalidRequestError("Object names must be valid UTF-8.") from error
        if size == 0:
            raise InvalidRequestError("An object name is required.")
        if size > MAX_NAME_BYTES:
            raise InvalidRequestError(f"The object name is {size} bytes long; at most {MAX_NAME_BYTES} are allowed.")
        if self.name in {".", ".."} or not {"\r", "\n"}.isdisjoint(self.name):
            raise InvalidRequestError(f"Disallowed object name {self.name!r}.")


@dataclass(frozen=True, slots=True)
class Attributes:
    """What writers say about an object: `fields` by resource field (WRITABLE_FIELDS), `metadata` by custom key."""

    fields: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_new(cls, resource: Mapping[str, object], content_type: str | None) -> Attributes:
        """Those of a new object; `content_type` is what its bytes came with, and gives way to the resource's."""
        return cls().patched({"contentType": content_type or "application/octet-stream", **resource})

    def patched(self, resource: Mapping[str, object]) -> Attributes:
        """Merge the writable part of an object resource in; null removes, InvalidRequestError for what is not text."""
        fields = {name: resource[name] for name in WRITABLE_FIELDS if name in resource}
        metadata = resource.get("metadata", {})
        if metadata is None:
            return Attributes(_merged(self.fields, fields), {})
        if not isinstance(metadata, dict):
            raise InvalidRequestError("metadata must be an object.")
        return Attributes(_merged(self.fields, fields), _merged(self.metadata, metadata))


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One generation of an object."""

    key: ObjectKey
    generation: int
    """Microseconds since the epoch, strictly increasing over a store's life."""
    metageneration: int
    attributes: Attributes
    content: Content
    created: datetime
    updated: datetime


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold of the live object; an absent one has generation and metageneration 0."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def require(self, live: StoredObject | None, *, reading: bool = False) -> None:
        """Raise PreconditionFailedError, or NotModifiedError when a reader already has what `NotMatch` names."""
        generation = live.generation if live else 0
        metageneration = live.metageneration if live else 0
        if self.generation_match not in {None, generation} or self.metageneration_match not in {None, metageneration}:
            raise PreconditionFailedError("At least one of the pre-conditions you specified did not hold.")
        if self.generation_not_match == generation or self.metageneration_not_match == metageneration:
            refusal = NotModifiedError if reading else PreconditionFailedError
            raise refusal("At least one of the pre-conditions you specified did not hold.")


@dataclass(frozen=True, slots=True)
class Target:
    """The object a request is about: a `generation` that is gone is not found; None takes the live one."""

    key: ObjectKey
    generation: int | None
    preconditions: Preconditions


def _merged(base: Mapping[str, str], changes: Mapping[str, object]) -> dict[str, str]:
    merged = dict(base)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, str):
            merged[name] = value
        else:
            raise InvalidRequestError(f"{name} must be a string.")
    return merged
