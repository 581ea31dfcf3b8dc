"""Tests that take `pubsub` hold for the laptop's Pub/Sub and for Google's emulator; `ours` is about the first alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.emulators.pubsub.server import PubSubServer
from tests.support.google_pubsub_emulator import PubSubEmulator, find_emulator
from tests.support.pubsub_clients import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.pubsub_clients import PubSub


@pytest.fixture(scope="session")
def ours() -> Iterator[PubSub]:
    with PubSubServer() as server, connected(server.address) as clients:
        yield clients


@pytest.fixture(scope="session")
def emulator() -> Iterator[PubSub]:
    install = find_emulator()
    if install is None:
        pytest.skip("Google's Pub/Sub emulator is not installed: it takes gcloud's pubsub-emulator component and Java")
    with PubSubEmulator(install) as server, connected(server.address) as clients:
        yield clients


@pytest.fixture(params=["ours", "emulator"])
def pubsub(request: pytest.FixtureRequest) -> PubSub:
    """Clients of either server; each test makes its own topics."""
    return request.getfixturevalue(request.param)
