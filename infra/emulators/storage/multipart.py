"""The body of a multipart upload: an object resource and then its bytes, read as they arrive."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from http.client import parse_headers
from typing import TYPE_CHECKING, Self, cast

from werkzeug.http import parse_options_header

from infra.emulators.storage.content import BLOCK_BYTES
from infra.emulators.storage.errors import InvalidRequestError
from infra.emulators.storage.parsing import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_LINE_BYTES = 64 * 1024
_CLOSING_LINE_END = 2  # bytes of the CRLF that some clients write behind the last boundary


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """Both parts; `media` can be iterated once, and raises InvalidRequestError where the body is cut short."""

    resource: dict[str, object]
    content_type: str | None
    media: Iterator[bytes]

    @classmethod
    def read(cls, body: IO[bytes], content_type: str) -> Self:
        """Read up to the media; `content_type` is that of the request and tells the boundary."""
        boundary = parse_options_header(content_type)[1].get("boundary")
        if not boundary:
            raise InvalidRequestError("The multipart body has no boundary.")
        delimiter = b"--" + boundary.encode("latin-1")
        stream = io.BufferedReader(cast("io.RawIOBase", body), _LINE_BYTES)  # only `readinto` is needed of the body
        _lines_before(stream, delimiter)
        parse_headers(stream)
        resource = json_object(_lines_before(stream, delimiter))
        media_type = parse_headers(stream).get("Content-Type")
        return cls(resource, media_type, _blocks_before(stream, b"\r\n" + delimiter + b"--"))


def _lines_before(stream: IO[bytes], delimiter: bytes) -> bytes:
    lines: list[bytes] = []
    for line in iter(partial(stream.readline, _LINE_BYTES), b""):
        if line.rstrip(b"\r\n") == delimiter:
            return b"".join(lines)
        lines.append(line)
    raise InvalidRequestError("The multipart body is malformed.")


def _blocks_before(stream: IO[bytes], closing: bytes) -> Iterator[bytes]:
    """The bytes up to `closing`, which the media itself may hold too: only the one at the body's end counts."""
    held = b""
    for block in iter(partial(stream.read, BLOCK_BYTES), b""):
        held += block
        ready = max(0, len(held) - len(closing) - _CLOSING_LINE_END)
        yield held[:ready]
        held = held[ready:]
    media, found, _ = held.rpartition(closing)
    if not found:
        raise InvalidRequestError("The multipart body is cut short.")
    yield media
