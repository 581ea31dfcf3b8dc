"""What tests of several folders share: a small cloud, the Deepgram stand-in whose model is loaded once, recordings."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import flask
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.emulators.deepgram_server import DeepgramServer
from infra.emulators.http_server import HttpServer
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from tests.support.measuring import Measured
from tests.support.small_cloud import PROJECT, SmallCloud, small_cloud
from trigger_function.services import Services, services_from_environment

Configured = Callable[..., Services]


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


@pytest.fixture(scope="session")
def service_account(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The key file of a throw-away service account, and its public key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("key") / "service-account.json"
    info = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "test",
        "private_key": private.decode(),
        "client_email": f"test@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "0",
        "token_uri": "http://127.0.0.1:9/token",
    }
    path.write_text(json.dumps(info))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return path, public


@pytest.fixture(scope="session")
def meter() -> Measured:
    """The SDK's metrics, started for the rest of the session."""
    return Measured()


@pytest.fixture
def measured(meter: Measured) -> Measured:
    """What the test records, without what others did before."""
    meter.look()
    return meter


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: tuple[Path, bytes]) -> Iterator[SmallCloud]:
    """Storage, Pub/Sub and Cloud Run of the test's own, and the environment that leads to them and nowhere else."""
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "DEEPGRAM_", "CLOUD_RUN_")):
            monkeypatch.delenv(name)
    with small_cloud(tmp_path, monkeypatch.setenv, *service_account) as started:
        yield started


@pytest.fixture
def configured(cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Configured]:
    """`configured(ENABLE_FALLBACK="false")`: the function's services over the cloud, with these settings."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made: list[Services] = []

    def make(**environment: str) -> Services:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        services_from_environment.cache_clear()
        made.append(services_from_environment())
        return made[-1]

    yield make
    services_from_environment.cache_clear()
    for one in made:
        one.publisher.stop()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def services(configured: Configured) -> Services:
    """The function's services with the settings of a fresh deployment that has no Deepgram key."""
    return configured()
