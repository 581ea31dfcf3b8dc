"""The cloud of the end-to-end tests, and a client that uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.emulators.cloud import CloudOptions, LaptopCloud
from tests.support.converted_recordings import Convert, converter
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.user_client import UserClient, user_client_of
from tests.support.waiting import PATIENCE
from tests.support.webhook_receiver import SECRET, Receiver, webhook_receiver


@pytest.fixture(scope="session")
def webhooks() -> Iterator[Receiver]:
    """Of what the shared cloud posts: outcomes of the uploads that ask for it."""
    with webhook_receiver() as running:
        yield running


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, webhooks: Receiver) -> Iterator[LaptopCloud]:
    """One cloud for all tests that need no settings of their own."""
    settings = {"WEBHOOK_ALLOWED_ORIGINS": webhooks.url.removesuffix("/hook"), "WEBHOOK_SECRETS": SECRET}
    with FaultyLaptopCloud(tmp_path_factory.mktemp("cloud"), CloudOptions(settings=settings)) as running:
        yield running


@pytest.fixture
def user(cloud: LaptopCloud) -> UserClient:
    """A client of the shared cloud, once everything before has ended."""
    cloud.eventarc.wait_idle(PATIENCE)
    cloud.runner.wait_idle(PATIENCE)
    return user_client_of(cloud)


@pytest.fixture(scope="session")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Convert:
    """`convert("long_seen", "a.mp3", *options)`: a shipped recording as another file, options before its input."""
    return converter(tmp_path_factory.mktemp("converted"))


@pytest.fixture(autouse=True, scope="session")
def settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the command learns of this machine's speed is kept apart from what its user's runs showed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
