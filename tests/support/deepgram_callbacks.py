"""A function deployment whose calls to Deepgram are answered by callback, and the posts that a test makes itself."""

from __future__ import annotations

from queue import Queue
from urllib.parse import urlencode, urlsplit

import flask
from werkzeug.test import EnvironBuilder

from shared.media import Upload
from tests.support.faulty_deepgram import Posted
from tests.support.function_services import MakeServices
from tests.support.waiting import PATIENCE

CALLBACK_KEY = "0123456789abcdef" * 4
CALLBACK_URL = "http://127.0.0.1:9/"
"""Nobody listens: the stand-in keeps its posts for the test."""


def callback_services(make_services: MakeServices, server_url: str, api_key: str) -> MakeServices:
    """As `make_services`, of a deployment that sends everything to Deepgram and waits for no answer."""
    settings = {
        "DEEPGRAM_API_KEY": api_key,
        "DEEPGRAM_BASE_URL": server_url,
        "DEEPGRAM_CALLBACK_KEY": CALLBACK_KEY,
        "DEEPGRAM_CALLBACK_MINUTES": "0",
        "DEEPGRAM_CALLBACK_URL": CALLBACK_URL,
        "TRANSCRIPTION_METHOD": "deepgram",
    }
    return lambda **more: make_services(**{**settings, **more})


def posted_for(upload: Upload, posts: Queue[Posted]) -> Posted:
    """The next answer about this upload; those about others, of earlier tests perhaps, are dropped."""
    while True:
        posted = posts.get(timeout=PATIENCE)
        if f"job={upload.job_id}" in posted.address:
            return posted


def callback_request(address: str, body: bytes, *, method: str = "POST", **headers: str) -> flask.Request:
    """The request that a post to this address makes."""
    query = urlsplit(address).query
    return flask.Request(EnvironBuilder(method=method, query_string=query, data=body, headers=headers).get_environ())


def changed(address: str, **parameters: str | None) -> str:
    """The address with other parameters; None: without one."""
    parts = urlsplit(address)
    now = dict(pair.split("=") for pair in parts.query.split("&"))
    now |= {name: value for name, value in parameters.items() if value is not None}
    for name in (name for name, value in parameters.items() if value is None):
        del now[name]
    return parts._replace(query=urlencode(now)).geturl()
