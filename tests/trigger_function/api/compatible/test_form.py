"""Forms with a file, read in blocks of any size."""

from __future__ import annotations

from collections.abc import Iterator

import flask
import pytest

from trigger_function.api.compatible.form import MAX_FIELD_BYTES, MAX_PARTS, Form, boundary_of, read_form
from trigger_function.api.web.problems import Problem

FILE = bytes(range(256)) * 50 + b"\r\n--BOUNDARY\r\n--"


def part(head: str, data: bytes) -> bytes:
    return b"--BOUNDARY\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data + b"\r\n"


class Written:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, block: bytes) -> None:
        self.data += block


def blocks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[begin : begin + size] for begin in range(0, len(body), size))


def read(body: bytes, size: int = 1000, boundary: bytes = b"BOUNDARY") -> tuple[Form, bytes]:
    form, written = Form(), Written()
    read_form(blocks(body, size), boundary, form, written)
    return form, written.data


@pytest.mark.parametrize("size", [7, 61, 4096, 1 << 18])
def test_fields_and_file_come_whole_however_they_are_cut(size: int) -> None:
    body = (
        part('name="model"', "größe".encode())
        + part('name="file"; filename="a b.mp3"\r\nContent-Type: audio/mpeg', FILE[:12800])
        + part('name="timestamp_granularities[]"', b"word")
        + part('name="timestamp_granularities[]"', b"")
        + b"--BOUNDARY--\r\n"
    )
    form, data = read(body, size)
    assert form.fields == [("model", "größe"), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "")]
    assert (form.file_name, form.content_type, data) == ("a b.mp3", "audio/mpeg", FILE[:12800])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        b"--BOUNDARY",
        part('name="model"', b"x"),
        part('name="model"', b"x") + b"--BOUNDARY--\r\n",
        part('name="file"; filename="a"', b"x"),
        part('name="sound"; filename="a"', b"x") + b"--BOUNDARY--\r\n",
        part('name="file"; filename="a"', b"x") * 2 + b"--BOUNDARY--\r\n",
        part("", b"x") + b"--BOUNDARY--\r\n",
        part('name="model"', b"\xff\xfe") + part('name="file"; filename="a"', b"x") + b"--BOUNDARY--\r\n",
        part('name="model"', b"x" * (MAX_FIELD_BYTES + 1)) + b"--BOUNDARY--\r\n",
        part('name="prompt"', b"x" * (MAX_FIELD_BYTES // 2)) * 3 + b"--BOUNDARY--\r\n",
        part('name="model"', b"x") * (MAX_PARTS + 1) + b"--BOUNDARY--\r\n",
        b"--BOUNDARY\r\nX: " + b"y" * 2_000_000,
    ],
)
def test_what_is_no_form_with_one_file_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as problem:
        read(body, 1 << 16)
    assert int(problem.value.status) in (400, 413)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=a"])
def test_what_is_not_said_to_be_a_form_is_refused(content_type: str) -> None:
    request = flask.Request({"CONTENT_TYPE": content_type})
    with pytest.raises(Problem) as problem:
        boundary_of(request)
    assert int(problem.value.status) == 415
