"""What a request to Cloud Storage asks for: its path, numbers, JSON, byte range and `fields`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from infra.emulators.storage.errors import StorageError, invalid, not_supported

Mask = Mapping[str, "Mask"]
"""Wanted fields of an answer, each with what is wanted of it; empty for all of it."""

_KNOWN_PARAMETERS = {
    *("alt", "fields", "generation", "ifGenerationMatch", "maxResults", "pageToken", "prefix", "startOffset"),
    *("uploadType", "upload_id", "sourceGeneration", "ifSourceGenerationMatch"),
    *("prettyPrint", "project", "projection"),  # no answer of this server becomes wrong by ignoring these
}
_JSON_PATH = re.compile(r"(?:/(upload|download))?/storage/v1/b(/.*)?")
_BYTE_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def path_segments(path: str) -> list[str]:
    """The parts of a quoted path; an object's name is one part, as clients of the JSON API quote its slashes."""
    try:
        return [unquote(segment, errors="strict") for segment in path.removeprefix("/").split("/")]
    except UnicodeDecodeError as error:
        raise invalid("The path must be valid UTF-8.") from error


def json_path(path: str) -> tuple[str, list[str]]:
    """Which part of the JSON API a path is of (`upload`, `download` or empty), and its parts behind the buckets'."""
    match = _JSON_PATH.fullmatch(path)
    if match is None:
        raise not_supported(path)
    return match[1] or "", path_segments(match[2]) if match[2] else []


def refuse_unknown_parameters(parameters: Mapping[str, str]) -> None:
    """Raise StorageError for what Cloud Storage would heed and this server would not."""
    if unknown := sorted(set(parameters) - _KNOWN_PARAMETERS):
        raise not_supported(", ".join(unknown))


def number(parameters: Mapping[str, str], name: str) -> int | None:
    """The integer of this name, or None where there is none."""
    try:
        return int(parameters[name]) if name in parameters else None
    except ValueError as error:
        raise invalid(f"Invalid value for {name}.") from error


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is; empty for no body."""
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise invalid("Parse Error") from error
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.")
    return value


def byte_range(header: str, size: int) -> range | None:
    """The offsets that a `Range` header asks for of `size` bytes; None for all, as for a header of another form."""
    match = _BYTE_RANGE.fullmatch(header)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or size - 1)
    if first >= size:
        headers = {"Content-Range": f"bytes */{size}"}
        raise StorageError(416, "InvalidRange", "The requested range cannot be satisfied.", headers)
    return range(first, min(last + 1, size)) if last >= first else None


def mask_of(fields: str) -> Mask:
    """A `fields` parameter, `items(name,metadata(usd)),nextPageToken`, as a mask; empty for everything."""
    nested = re.sub(r"(\w+)(\()?", lambda match: f'"{match[1]}":{{' + ("" if match[2] else "}"), fields)
    try:
        mask: Mask = json.loads("{" + nested.replace(")", "}") + "}")
    except ValueError as error:
        raise invalid(f"Invalid field selection {fields}") from error
    return mask


def project(value: object, mask: Mask) -> object:
    """What `mask` leaves of an answer; of a list, of each element."""
    if not mask or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [project(one, mask) for one in value]
    return {name: project(value[name], part) for name, part in mask.items() if name in value}
