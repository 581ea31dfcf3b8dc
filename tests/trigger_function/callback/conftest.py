"""A deployment that takes callbacks, and a Deepgram that leaves them to the test."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue

import pytest
import stamina

from tests.support.deepgram_callbacks import callback_services
from tests.support.faulty_deepgram import FaultyDeepgramServer, Posted
from tests.support.function_services import MakeServices


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def server(shared_deepgram_server: FaultyDeepgramServer) -> Iterator[FaultyDeepgramServer]:
    """Deepgram's stand-in; without faults that a test did not use up."""
    yield shared_deepgram_server
    shared_deepgram_server.recover()


@pytest.fixture
def posts(server: FaultyDeepgramServer) -> Queue[Posted]:
    """What the stand-in would have posted."""
    return server.keep_posts()


@pytest.fixture
def make_callback_services(
    make_services: MakeServices, server: FaultyDeepgramServer, deepgram_key: str
) -> MakeServices:
    return callback_services(make_services, server.url, deepgram_key)
