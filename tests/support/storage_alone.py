"""Cloud Storage on loopback without anything around it, with the three buckets of a laptop cloud."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from infra.emulators.cloud import PROJECT, RESULTS, STATE, UPLOADS
from infra.emulators.storage.server import StorageServer


@contextmanager
def storage_alone(folder: Path) -> Iterator[Client]:
    """Google's client, connected to a server of its own."""
    with StorageServer(folder) as server:
        options = ClientOptions(api_endpoint=server.url)
        client = Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)
        for bucket in (UPLOADS, RESULTS, STATE):
            client.create_bucket(bucket)
        yield client
