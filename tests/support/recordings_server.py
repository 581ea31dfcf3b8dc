"""The shipped recordings, served by file name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import flask

from infra.emulators.http_server import HttpServer
from infra.recordings import recording


@contextmanager
def recordings_server() -> Iterator[str]:
    """The address below which they are."""
    app = flask.Flask("recordings", static_folder=None)
    app.add_url_rule("/<name>", view_func=_send)
    with HttpServer(app) as server:
        yield server.url


def _send(name: str) -> flask.Response:
    try:
        return flask.send_file(recording(name).path)
    except KeyError:
        return flask.make_response("", 404)
