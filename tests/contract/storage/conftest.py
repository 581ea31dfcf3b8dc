"""A storage server and Google's own client for it.

With STORAGE_TESTBENCH_URL naming a running googleapis/storage-testbench, tests are held to that instead of this server;
those that take `server` are about this server alone.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from infra.emulators.storage.server import StorageServer
from tests.support.storage_testbench import URL as TESTBENCH_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageServer]:
    """One for all tests, as each makes its own bucket; what the server counts is to be read before and after."""
    if TESTBENCH_URL:
        pytest.skip("about this server alone")
    with StorageServer(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> str:
    """Where the server under test is."""
    if TESTBENCH_URL:
        return TESTBENCH_URL
    server: StorageServer = request.getfixturevalue("server")
    return server.url


@pytest.fixture
def connect() -> Iterator[Callable[[str], storage.Client]]:
    """Makes clients of the server at an address; one is not for several threads."""
    clients: list[storage.Client] = []

    def connect(url: str) -> storage.Client:
        client = storage.Client(
            project="local", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
        )
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[[str], storage.Client], endpoint: str) -> storage.Client:
    return connect(endpoint)


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    bucket: storage.Bucket = client.create_bucket(f"uploads-{uuid.uuid4().hex}")
    return bucket
