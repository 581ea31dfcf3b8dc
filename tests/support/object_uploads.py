"""The three ways to write an object, called alike: preconditions are named as in Google's client."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import requests
from google.api_core.exceptions import from_http_response
from google.resumable_media import InvalidResponse
from google.resumable_media.requests import SimpleUpload

if TYPE_CHECKING:
    from google.cloud import storage


def multipart(blob: storage.Blob, content: bytes, **preconditions: int) -> None:
    """Resource and bytes in one body."""
    blob.upload_from_string(content, **preconditions)


def resumable(blob: storage.Blob, content: bytes, **preconditions: int) -> None:
    """One request to begin and one for each chunk; the client chooses it when no size is given."""
    blob.upload_from_file(io.BytesIO(content), **preconditions)


def media(blob: storage.Blob, content: bytes, **preconditions: int) -> None:
    """The bytes alone: what google-cloud-storage never sends, so by the library it is built on."""
    query = {_camel_case(name): value for name, value in preconditions.items()} | {"name": blob.name}
    base = f"{blob.client.api_endpoint}/upload/storage/v1{blob.bucket.path}/o?uploadType=media"
    with requests.Session() as session:
        try:
            SimpleUpload(f"{base}&{urlencode(query)}").transmit(session, content, "audio/mpeg")
        except InvalidResponse as error:
            raise from_http_response(error.response) from error


UPLOAD_KINDS = (media, multipart, resumable)


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
