"""Answers in the shapes of Cloud Storage: object and bucket resources, header fields of media, errors."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape

from flask import Response
from werkzeug.http import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from infra.emulators.storage.errors import StorageError
    from infra.emulators.storage.object_store import Bucket
    from infra.emulators.storage.objects import StoredObject

_MEDIA_HEADERS = {
    "cacheControl": "Cache-Control",
    "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding",
    "contentLanguage": "Content-Language",
    "contentType": "Content-Type",
}


def object_resource(stored: StoredObject, server_url: str) -> dict[str, object]:
    """The JSON API's `storage#object`, which is also what a finalize event holds; numbers are strings there."""
    key, content, generation = stored.key, stored.content, stored.generation
    created = _timestamp(stored.created)
    path = f"storage/v1/b/{key.bucket}/o/{quote(key.name, safe='')}"
    resource: dict[str, object] = {
        "kind": "storage#object",
        "id": f"{key.bucket}/{key.name}/{generation}",
        "selfLink": f"{server_url}/{path}",
        "mediaLink": f"{server_url}/download/{path}?generation={generation}&alt=media",
        "bucket": key.bucket,
        "name": key.name,
        "generation": str(generation),
        "metageneration": str(stored.metageneration),
        "etag": _etag(stored),
        "storageClass": "STANDARD",
        "size": str(content.size),
        "crc32c": content.crc32c,
        "timeCreated": created,
        "timeFinalized": created,
        "timeStorageClassUpdated": created,
        "updated": _timestamp(stored.updated),
    }
    if content.md5 is not None:
        resource["md5Hash"] = content.md5
    if content.component_count is not None:
        resource["componentCount"] = content.component_count
    if stored.attributes.metadata:
        resource["metadata"] = dict(stored.attributes.metadata)
    return {**resource, **stored.attributes.fields}


def bucket_resource(bucket: Bucket) -> dict[str, object]:
    """The JSON API's `storage#bucket`."""
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "CAE=",
        "timeCreated": _timestamp(bucket.created),
        "updated": _timestamp(bucket.created),
    }


def media_headers(stored: StoredObject) -> dict[str, str]:
    """Header fields that go with an object's bytes; checksums are those of the whole content."""
    content, attributes = stored.content, stored.attributes
    hashes = [f"crc32c={content.crc32c}"] + ([f"md5={content.md5}"] if content.md5 else [])
    return {
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
        "ETag": _etag(stored),
        "Last-Modified": http_date(stored.updated),
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": ",".join(hashes),
        "X-Goog-Storage-Class": attributes.fields.get("storageClass", "STANDARD"),
        "X-Goog-Stored-Content-Encoding": attributes.fields.get("contentEncoding", "identity"),
        "X-Goog-Stored-Content-Length": str(content.size),
    } | {header: attributes.fields[field] for field, header in _MEDIA_HEADERS.items() if field in attributes.fields}


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` as JSON."""
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=UTF-8")


def json_error(error: StorageError) -> Response:
    """An error as the JSON API answers it."""
    message = str(error)
    detail = {"message": message, "domain": "global", "reason": error.reason}
    body = {"error": {"code": error.status, "message": message, "errors": [detail]}}
    return json_answer(body, error.status, error.headers)


def xml_error(error: StorageError) -> Response:
    """An error as the XML API answers it."""
    body = f"<Error><Code>{error.code}</Code><Message>{escape(str(error))}</Message></Error>"
    declaration = "<?xml version='1.0' encoding='UTF-8'?>"
    return Response(declaration + body, error.status, error.headers, content_type="application/xml; charset=UTF-8")


def _etag(stored: StoredObject) -> str:
    return base64.b64encode(f"{stored.generation}/{stored.metageneration}".encode()).decode("ascii")


def _timestamp(time: datetime) -> str:
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
