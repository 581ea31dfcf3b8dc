"""A form with one file in it (multipart/form-data), read as it comes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import flask
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from trigger_function.api.web.problems import Problem

MULTIPART = "multipart/form-data"
FILE = "file"

MAX_FIELD_BYTES = 64 << 10
"""Of all fields together; a prompt has up to 224 tokens."""
MAX_PARTS = 100
MAX_BUFFERED_BYTES = 1 << 20
"""Of a part whose end, or whose headers' end, has not come yet. More than one block of a body."""


class Sink(Protocol):
    """Where the file goes."""

    def write(self, block: bytes, /) -> object:
        """Take the next bytes."""
        ...


@dataclass
class Form:
    """What has come of a form so far."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    file_name: str | None = None
    """None: the file has not begun."""
    content_type: str | None = None


def boundary_of(request: flask.Request) -> bytes:
    """Raises Problem where the request is no form."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != MULTIPART or not boundary or len(boundary) > 200:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body has to be {MULTIPART} with a file.")
    return boundary.encode("latin-1", "replace")


def read_form(blocks: Iterable[bytes], boundary: bytes, form: Form, file: Sink) -> None:
    """Read all of it: fields into `form`, the file into `file`. Raises Problem, and what `blocks` and `file` do."""
    decoder = MultipartDecoder(boundary, MAX_BUFFERED_BYTES, max_parts=MAX_PARTS)
    reader = _Reader(form, file)
    try:
        for block in blocks:
            decoder.receive_data(block)
            reader.take(decoder)
        decoder.receive_data(None)
        reader.take(decoder)
    except RequestEntityTooLarge:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The form has too many or too large fields.") from None
    except (ValueError, LookupError):
        raise Problem(HTTPStatus.BAD_REQUEST, "The form cannot be read.", "not-a-form") from None
    if not reader.is_complete:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form is cut off.", "not-a-form")
    if form.file_name is None:
        message = "The form has no file."
        raise Problem(HTTPStatus.BAD_REQUEST, message, errors=[{"field": FILE, "message": message}])


class _Reader:
    def __init__(self, form: Form, file: Sink) -> None:
        self.is_complete = False
        self._form = form
        self._file = file
        self._name: str | None = None
        """Of the field that is being read; None: it is the file."""
        self._value = bytearray()
        self._field_bytes = 0

    def take(self, decoder: MultipartDecoder) -> None:
        while True:
            match decoder.next_event():
                case NeedData():
                    return
                case Epilogue():
                    self.is_complete = True
                    return
                case Field(name=name):
                    self._name = name
                case File(name=name, filename=file_name, headers=headers):
                    self._begin_file(name, file_name, headers.get("Content-Type"))
                case Data(data=data, more_data=more):
                    self._data(bytes(data), more)

    def _begin_file(self, name: str, file_name: str, content_type: str | None) -> None:
        if name != FILE or self._form.file_name is not None:
            message = f"The form has to have one file, called {FILE!r}."
            raise Problem(HTTPStatus.BAD_REQUEST, message, errors=[{"field": FILE, "message": message}])
        self._name = None
        self._form.file_name, self._form.content_type = file_name, content_type

    def _data(self, data: bytes, more: bool) -> None:
        if self._name is None:
            self._file.write(data)
            return
        self._field_bytes += len(data)
        if self._field_bytes > MAX_FIELD_BYTES:
            raise RequestEntityTooLarge
        self._value += data
        if not more:
            self._form.fields.append((self._name, self._value.decode()))
            self._value.clear()
