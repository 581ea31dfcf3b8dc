"""Bodies of requests that are not read to their end."""

from __future__ import annotations

import socket
import time

import flask
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from werkzeug.test import EnvironBuilder

from tests.support.waiting import PATIENCE
from trigger_function.callback.body import leave_unread

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


def test_a_connection_whose_body_nobody_read_has_no_next_request() -> None:
    """Else the rest of the body, which comes later, would count as one."""
    client, server = socket.socketpair()
    with client, server:
        client.sendall(HEAD + b"the beginning of it")
        parser = RequestParser(Config(), server, None)
        body = next(parser).body
        environ = EnvironBuilder("/", method="POST").get_environ()
        leave_unread(flask.Request({**environ, "wsgi.input": body, "gunicorn.socket": server}))
        # What gunicorn asks before it keeps a connection.
        assert not parser.finish_body(deadline=time.monotonic() + PATIENCE)
