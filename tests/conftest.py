"""What tests of several folders share: the Deepgram stand-in whose model is loaded once, and recordings to fetch."""

from __future__ import annotations

from collections.abc import Iterator

import flask
import pytest

from infra.local.deepgram_server import DeepgramServer
from infra.local.http_server import HttpServer
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH


@pytest.fixture(scope="session")
def deepgram_key() -> str:
    return "correct-horse"


@pytest.fixture(scope="session")
def hearing_server(deepgram_key: str) -> Iterator[DeepgramServer]:
    """A stand-in that really hears. A test that injects a fault must use it up."""
    with DeepgramServer(str(MODEL_PATH), deepgram_key) as server:
        yield server


@pytest.fixture
def deepgram_server(deepgram_key: str) -> Iterator[DeepgramServer]:
    """A stand-in of the test's own; hearing with it takes the seconds in which the model is loaded."""
    with DeepgramServer(str(MODEL_PATH), deepgram_key) as server:
        yield server


@pytest.fixture(scope="session")
def recordings_url() -> Iterator[str]:
    """Where the shipped recordings can be fetched by file name."""
    app = flask.Flask("recordings", static_folder=None)
    app.add_url_rule("/<name>", view_func=_recording)
    with HttpServer(app) as server:
        yield server.url


def _recording(name: str) -> flask.Response:
    try:
        return flask.send_file(recording(name).path)
    except KeyError:
        return flask.make_response("", 404)
