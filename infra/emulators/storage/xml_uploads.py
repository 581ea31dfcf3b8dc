"""Resumable uploads that a signed URL begins: what the headers of their first request say of the object."""

from __future__ import annotations

from collections.abc import Mapping

from infra.emulators.storage.errors import StorageError, invalid, not_supported
from infra.emulators.storage.object_store import DEFAULT_CONTENT_TYPE, Attributes, Content, ObjectKey
from infra.emulators.storage.parsing import number
from infra.emulators.storage.uploads import NewObject

_META = "x-goog-meta-"
_LENGTH_RANGE = "x-goog-content-length-range"
_GENERATION_MATCH = "x-goog-if-generation-match"
_KNOWN = {"x-goog-resumable", _LENGTH_RANGE, _GENERATION_MATCH}


def object_of_headers(key: ObjectKey, headers: Mapping[str, str]) -> tuple[NewObject, int | None]:
    """The object, and the generation that has to be live. `headers` have lower-case names. Raises StorageError."""
    if headers.get("x-goog-resumable") != "start":
        raise not_supported("a POST that begins no resumable upload")
    own = {name for name in headers if name.startswith("x-goog-") and not name.startswith(_META)}
    if unknown := sorted(own - _KNOWN):
        raise not_supported(", ".join(unknown))
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    attributes = Attributes(headers.get("content-type") or DEFAULT_CONTENT_TYPE, None, metadata)
    return NewObject(key, attributes, None), number(headers, _GENERATION_MATCH)


def check_length(content: Content, headers: Mapping[str, str]) -> None:
    """Raises StorageError, and removes the content, where the first request allows no object of this size."""
    least, separator, most = headers.get(_LENGTH_RANGE, "").partition(",")
    if not separator:
        return
    if not (least.isdecimal() and most.isdecimal()):
        raise invalid(f"{_LENGTH_RANGE} has to be like 0,100.")
    if not int(least) <= content.size <= int(most):
        content.path.unlink()
        code = "EntityTooSmall" if content.size < int(least) else "EntityTooLarge"
        raise StorageError(400, code, f"Your proposed upload has {content.size} bytes, not {least} to {most}.")
