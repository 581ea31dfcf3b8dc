"""The body of a request: read once, within limits, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import flask

from trigger_function.api.web.problems import Problem
from trigger_function.callback.body import BodyRefused, body_blocks, leave_unread, read_body

MAX_DRAINED_BYTES = 1 << 16
"""Of a body that nobody wanted, and that is read all the same, so that its connection can be used again."""

_DETAILS = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than {limit} bytes.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive within {seconds:g} s.",
    HTTPStatus.BAD_REQUEST: "The body ended before its Content-Length.",
}


class RequestBody:
    """Of one request."""

    def __init__(self, request: flask.Request, seconds: float) -> None:
        """`seconds`: in which it is to arrive."""
        self._request = request
        self._seconds = seconds
        self._data: bytes | None = None
        self._was_read = False
        """To its end, as blocks."""

    @property
    def is_there(self) -> bool:
        """Whether the request has one."""
        return bool(self._request.content_length) or "Transfer-Encoding" in self._request.headers

    def read(self, max_bytes: int) -> bytes:
        """All of it. Raises Problem where it is larger, slower, or cut off."""
        if self._data is None:
            try:
                self._data = read_body(self._request, max_bytes=max_bytes, seconds=self._seconds)
            except BodyRefused as refused:
                raise self._problem(refused.status, max_bytes) from None
        if len(self._data) > max_bytes:
            raise self._problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, max_bytes)
        return self._data

    def blocks(self, max_bytes: int) -> Iterator[bytes]:
        """The same, as it comes; not to be asked for twice."""
        try:
            yield from body_blocks(self._request, max_bytes=max_bytes, seconds=self._seconds)
        except BodyRefused as refused:
            raise self._problem(refused.status, max_bytes) from None
        self._was_read = True

    def leave(self, response: flask.Response) -> flask.Response:
        """The response with which no more is read of a body that was not: functions-framework reads it behind every
        answer but a stream, and gunicorn before the connection's next request."""
        if self._data is not None or self._was_read or not self.is_there:
            return response
        length = self._request.content_length
        if length is not None and length <= MAX_DRAINED_BYTES:
            try:
                read_body(self._request, max_bytes=MAX_DRAINED_BYTES, seconds=self._seconds)
                return response
            except BodyRefused:
                pass
        leave_unread(self._request)
        headers = {**response.headers, "Connection": "close"}
        return flask.Response(iter([response.get_data()]), response.status_code, headers)

    def _problem(self, status: HTTPStatus, max_bytes: int) -> Problem:
        return Problem(status, _DETAILS[status].format(limit=max_bytes, seconds=self._seconds))
