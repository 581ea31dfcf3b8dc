"""The body of a request from the internet: so many bytes at most, and in so much time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from threading import Event, Timer

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

BLOCK_BYTES = 1 << 18
"""Of a body, at a time."""


class BodyRefused(Exception):
    """The body was not taken, for the reason that the status says."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def read_body(request: flask.Request, *, max_bytes: int, seconds: float) -> bytes:
    """All of the body. Raises BodyRefused where it is larger, slower, or cut off."""
    return b"".join(body_blocks(request, max_bytes=max_bytes, seconds=seconds))


def body_blocks(request: flask.Request, *, max_bytes: int, seconds: float) -> Iterator[bytes]:
    """The body as it comes. Raises BodyRefused as `read_body` does, and maybe only behind its last byte.

    `seconds`: for all of it, and for what is done with each block meanwhile.
    """
    # Instead of functions-framework's own limit, 10 MB. A header that says more is refused before anything is read;
    # without one the stream ends at the limit, as if the body did.
    request.max_content_length = max_bytes + 1
    count = 0
    with _time_limit(request, seconds) as is_over:
        while block := _next_block(request, is_over):
            count += len(block)
            if count > max_bytes:
                raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            yield block
    if is_over.is_set():
        raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT)
    length = request.content_length
    if length is not None and count != length:
        raise BodyRefused(HTTPStatus.BAD_REQUEST)


def _next_block(request: flask.Request, is_over: Event) -> bytes:
    try:
        return request.stream.read(BLOCK_BYTES)
    except RequestEntityTooLarge:
        raise BodyRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE) from None
    except (HTTPException, OSError) as error:
        raise BodyRefused(HTTPStatus.REQUEST_TIMEOUT if is_over.is_set() else HTTPStatus.BAD_REQUEST) from error


def leave_unread(request: flask.Request) -> None:
    """Have nothing more of a body read that nobody wants.

    gunicorn reads it to its end before it looks for the connection's next request: on a thread, and for ever where the
    bytes come one by one. It takes the end of reading for the body's end, and what comes behind that for the next
    request, whatever the answer's `Connection` says: so it is told, as by its own errors, that the connection is of no
    more use.
    """
    body = request.environ.get("wsgi.input")
    if body is not None and hasattr(body, "failed"):
        body.failed = True
    _end_reading(request.environ.get("gunicorn.socket"))


@contextmanager
def _time_limit(request: flask.Request, seconds: float) -> Iterator[Event]:
    """Ends what is read of the request once its time is over: a read by itself waits for the next byte for ever."""
    is_over = Event()
    connection: socket.socket | None = request.environ.get("gunicorn.socket")

    def end() -> None:
        is_over.set()
        _end_reading(connection)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_over
    finally:
        timer.cancel()


def _end_reading(connection: socket.socket | None) -> None:
    if connection is not None:
        with suppress(OSError):  # closed already
            connection.shutdown(socket.SHUT_RD)
