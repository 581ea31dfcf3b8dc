"""What a request to Cloud Storage asks for, read out of its path, parameters, header fields and JSON."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from infra.emulators.storage.errors import InvalidRequestError, NotSupportedError, RangeNotSatisfiableError
from infra.emulators.storage.listing import ListQuery
from infra.emulators.storage.objects import ObjectKey, Preconditions, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LIST_ENTRIES = 1000

_PARAMETERS = {
    *("alt", "delimiter", "generation", "maxResults", "name", "pageToken", "prefix", "sourceGeneration"),
    *("uploadType", "upload_id"),
    *("ifGenerationMatch", "ifGenerationNotMatch"),
    *("ifMetagenerationMatch", "ifMetagenerationNotMatch", "ifMetaGenerationNotMatch"),
    *("ifSourceGenerationMatch", "ifSourceGenerationNotMatch"),
    *("ifSourceMetagenerationMatch", "ifSourceMetagenerationNotMatch"),
    # Who pays and what to leave out: no answer of this server becomes wrong by ignoring these. Lists heed `fields`.
    *("fields", "prettyPrint", "project", "projection", "userProject"),
}
_CONDITIONAL_HEADERS = ("If-Match", "If-None-Match")
_CHECKSUM_FIELDS = {"md5": "md5Hash", "crc32c": "crc32c"}
_JSON_PATH = re.compile(r"(?:/(upload|download))?/storage/v1/b(/.*)?")
_BYTE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def path_segments(path: str) -> list[str]:
    """The parts of a quoted path; an object's name is one part, as clients of the JSON API quote its slashes."""
    return [_unquoted(segment) for segment in path.removeprefix("/").split("/")]


def json_path(path: str) -> tuple[str, list[str]]:
    """Which part of the JSON API a path is of (`upload`, `download` or empty), and its parts behind the buckets'."""
    match = _JSON_PATH.fullmatch(path)
    if match is None:
        raise NotSupportedError(f"Not supported: {path}")
    return match[1] or "", path_segments(match[2]) if match[2] else []


def refuse_unsupported(parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Raise NotSupportedError for what Cloud Storage would heed and this server would not."""
    unknown = sorted(parameters.keys() - _PARAMETERS)
    unknown += [name for name in _CONDITIONAL_HEADERS if name in headers]
    if unknown:
        raise NotSupportedError(f"Not supported: {', '.join(unknown)}")


def target(key: ObjectKey, parameters: Mapping[str, object]) -> Target:
    """The object that a request about `key` means."""
    return Target(key, _number(parameters, "generation"), preconditions(parameters))


def copy_source(key: ObjectKey, parameters: Mapping[str, object]) -> Target:
    """The object that a request to copy from `key` means."""
    return Target(key, _number(parameters, "sourceGeneration"), preconditions(parameters, prefix="ifSource"))


def compose_sources(bucket: str, resource: Mapping[str, object]) -> list[Target]:
    """The objects that a request to compose names, in order."""
    if resource.get("deleteSourceObjects"):
        raise NotSupportedError("Not supported: deleteSourceObjects")
    sources = resource.get("sourceObjects")
    if not isinstance(sources, list) or not sources:
        raise InvalidRequestError("sourceObjects must be a list of at least one object.")
    return [
        Target(
            ObjectKey(bucket, _text(source, "name")),
            _number(source, "generation"),
            preconditions(source.get("objectPreconditions", {})),
        )
        for source in sources
    ]


def preconditions(parameters: Mapping[str, object], prefix: str = "if") -> Preconditions:
    """The preconditions among `parameters`."""
    return Preconditions(
        generation_match=_number(parameters, f"{prefix}GenerationMatch"),
        generation_not_match=_number(parameters, f"{prefix}GenerationNotMatch"),
        metageneration_match=_number(parameters, f"{prefix}MetagenerationMatch"),
        # Google's client spells the last one with a second capital G in uploads.
        metageneration_not_match=_number(
            parameters, f"{prefix}MetagenerationNotMatch", f"{prefix}MetaGenerationNotMatch"
        ),
    )


def list_query(parameters: Mapping[str, str]) -> ListQuery:
    """Which page of a bucket a request asks for."""
    wanted = _number(parameters, "maxResults")
    return ListQuery(
        prefix=parameters.get("prefix", ""),
        delimiter=parameters.get("delimiter", ""),
        after=_last_entry(parameters.get("pageToken", "")),
        limit=min(wanted or MAX_LIST_ENTRIES, MAX_LIST_ENTRIES),
    )


def page_token(last_entry: str) -> str:
    """What a client sends to get the page behind `last_entry`."""
    return base64.urlsafe_b64encode(last_entry.encode()).decode("ascii")


def json_object(body: bytes) -> dict[str, object]:
    """The JSON object that `body` is; empty for no body."""
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidRequestError("Parse Error") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    return value


def object_name(parameters: Mapping[str, str], resource: Mapping[str, object]) -> str:
    """The name an upload gives its object, in its address or in its resource; empty when it gives none."""
    return parameters.get("name") or _text(resource, "name")


def expected_checksums(resource: Mapping[str, object], hash_header: str) -> dict[str, str]:
    """The checksums that an upload claims, by resource field; `hash_header` reads `crc32c=...,md5=...`."""
    expected = {field: _text(resource, field) for field in _CHECKSUM_FIELDS.values() if field in resource}
    for claim in hash_header.split(","):
        algorithm, _, value = claim.strip().partition("=")
        if algorithm in _CHECKSUM_FIELDS:
            expected[_CHECKSUM_FIELDS[algorithm]] = value
    return expected


def byte_range(header: str, size: int) -> range | None:
    """The offsets that a `Range` header means in `size` bytes; None for all, which is also the answer to nonsense."""
    match = _BYTE_RANGE.fullmatch(header)
    if match is None or not any(match.groups()):
        return None
    first_text, last_text = match.groups()
    first = int(first_text) if first_text else max(0, size - int(last_text))
    last = int(last_text) if first_text and last_text else size - 1
    if first_text and last_text and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiableError(size)
    return range(first, min(last + 1, size))


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The path must be valid UTF-8.") from error


def _last_entry(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidRequestError("Invalid pageToken.") from error


def _number(parameters: Mapping[str, object], *spellings: str) -> int | None:
    for name in spellings:
        if name in parameters:
            try:
                return int(cast("str", parameters[name]))
            except (TypeError, ValueError) as error:
                raise InvalidRequestError(f"Invalid value for {name}.") from error
    return None


def _text(resource: Mapping[str, object], field: str) -> str:
    value = resource.get(field, "")
    if not isinstance(value, str):
        raise InvalidRequestError(f"{field} must be a string.")
    return value
