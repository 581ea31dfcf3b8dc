"""One deployment, and the API served over it, for all tests of a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ARCHIVE, OPERATOR_KEY, POOR_KEY, TENANT_KEY, ApiClient, api_server
from tests.support.function_services import function_services
from tests.support.loopback_cloud import LoopbackCloud, loopback_cloud
from trigger_function.services import Services


@pytest.fixture(scope="module")
def shared_environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "DEEPGRAM_", "CLOUD_RUN_")):
                patch.delenv(name)
        yield patch


@pytest.fixture(scope="module")
def api_cloud(
    shared_environment: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    service_account: tuple[Path, bytes],
) -> Iterator[LoopbackCloud]:
    folder = tmp_path_factory.mktemp("api")
    with loopback_cloud(folder, shared_environment.setenv, *service_account) as cloud:
        cloud.storage.create_bucket(ARCHIVE)
        yield cloud


@pytest.fixture(scope="module")
def deployment(api_cloud: LoopbackCloud, shared_environment: pytest.MonkeyPatch) -> Iterator[Services]:
    """The function's services over the same cloud: what the event of an upload sets off."""
    with function_services(shared_environment.setenv) as make:
        yield make(UPLOADS_BUCKET="uploads")


@pytest.fixture(scope="module")
def operator(api_cloud: LoopbackCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A client whose key reaches everything."""
    with api_server(tmp_path_factory.mktemp("api-log") / "log") as client:
        yield client.with_key(OPERATOR_KEY)


@pytest.fixture(scope="module")
def tenant(operator: ApiClient) -> ApiClient:
    """A client whose key reaches the folder `tenant`."""
    return operator.with_key(TENANT_KEY)


@pytest.fixture(scope="module")
def poor(operator: ApiClient) -> ApiClient:
    """A client whose key reaches the folder `poor`, which may cost a cent a month."""
    return operator.with_key(POOR_KEY)
