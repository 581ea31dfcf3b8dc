"""Stored objects that cannot be read: damaged ones, and those of a newer version of their format.

A newer release wrote the latter, before it was rolled back, say. They are no damage: nobody replaces them, and what
needs them waits until that release runs again. Damaged ones are moved aside, never deleted, and made again from what is
left (docs/operations.md has a table of them).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar, get_args

from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

from shared import objects
from shared.errors import DropscribeError

_log = logging.getLogger(__name__)

SCHEMA_VERSION = "schema_version"
"""The field that counts the versions of an object's format."""

UNREADABLE_AFTER = timedelta(hours=1)
"""Since an object was written, after which it counts as damaged for good. Until then it may be that a release was
rolled back that counted no new version, and whoever has the object may write it again."""

Model = TypeVar("Model", bound=BaseModel)


class NewerVersion(DropscribeError):
    """An object was written by a newer release than this one, and only that one reads it."""


def is_newer(data: bytes, model: type[BaseModel]) -> bool:
    """Whether an object is of a newer version than `model`, which has a `schema_version`, or something in it is."""
    try:
        return _is_newer(json.loads(data), model)
    except (ValueError, RecursionError):
        return False


def _is_newer(found: object, model: type[BaseModel]) -> bool:
    if not isinstance(found, dict):
        return False
    own, version = model.model_fields.get(SCHEMA_VERSION), found.get(SCHEMA_VERSION)
    if own is not None and type(version) is int and version > int(own.default):
        return True
    parts = ((found.get(name), field.annotation) for name, field in model.model_fields.items())
    return any(_is_newer(part, one) for part, annotation in parts for one in _models_of(annotation))


def _models_of(annotation: object) -> Iterator[type[BaseModel]]:
    """`X` of `X` and of `X | None`."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one


def parsed(data: bytes, model: type[Model], name: str) -> Model | None:
    """An object's content; None where it is damaged, which is logged. Raises NewerVersion.

    `name`: the object's.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError:
        if is_newer(data, model):
            raise NewerVersion(f"{name} is of a newer version: it takes the release that wrote it.") from None
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": name}})
        return None


def kept_aside(bucket: Bucket, name: str, stored: objects.Versioned, folder: str) -> None:
    """Copy a damaged object into `folder`, which ends in a slash: one copy of each generation."""
    objects.create_once(bucket, f"{folder}{stored.generation}", stored.data, "application/octet-stream")
    fields = {"object": name, "kept": f"{folder}{stored.generation}"}
    _log.error("an object that cannot be read is set aside", extra={"fields": fields})


def set_aside(bucket: Bucket, name: str, stored: objects.Versioned, folder: str) -> None:
    """Move a damaged object into `folder`, unless somebody has written it meanwhile."""
    kept_aside(bucket, name, stored, folder)
    objects.delete(bucket, name, stored.generation)
