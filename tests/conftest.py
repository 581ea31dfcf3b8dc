"""What tests of several folders share: a loopback cloud, a Deepgram stand-in with its model loaded, recordings."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from infra.emulators.service_account import write_service_account
from infra.tiny_parakeet import ONNX_PATH
from tests.support.coverage_scope import measured_imports_alone, pytest_runtest_protocol  # noqa: F401 - pytest's hook
from tests.support.encodable_reports import pytest_runtest_makereport  # noqa: F401 - pytest's hook
from tests.support.fast_selection import (  # noqa: F401 - pytest's hooks
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure_node,
    pytest_ignore_collect,
)
from tests.support.faulty_deepgram import FaultyDeepgramServer, RememberingDeepgramServer
from tests.support.function_services import MakeServices, function_services
from tests.support.loopback_cloud import PROJECT, LoopbackCloud, loopback_cloud
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.recordings_server import recordings_server
from trigger_function.services import Services

# What is imported stays: no cycle is looked for among it, neither now nor in the tests' own collections.
gc.disable()

# As many tests as there are cores run side by side: a thread pool in each would have them wait for one another.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# The same examples each time, and no limit on the time of one: both would fail by chance on a loaded machine.
settings.register_profile("dropscribe", deadline=None, derandomize=True)
settings.load_profile("dropscribe")


# The tests' servers are on this machine: nothing goes through a proxy, nor is one looked for at every call.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    try:
        with measured_imports_alone(session.config):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide enough that no table is wrapped, however long the paths in it are."""
    monkeypatch.setenv("COLUMNS", "1000")


@pytest.fixture(scope="session")
def deepgram_key() -> str:
    return "correct-horse"


@pytest.fixture(scope="session")
def shared_deepgram_server(
    deepgram_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultyDeepgramServer]:
    """A stand-in that really hears, each recording once. A test that injects a fault must use it up."""
    log = tmp_path_factory.mktemp("deepgram") / "log"
    with RememberingDeepgramServer(str(ONNX_PATH), deepgram_key, log) as server:
        yield server


@pytest.fixture
def deepgram_server(deepgram_key: str, tmp_path: Path) -> Iterator[FaultyDeepgramServer]:
    """A stand-in of the test's own; hearing with it takes the seconds in which the model is loaded."""
    with FaultyDeepgramServer(str(ONNX_PATH), deepgram_key, tmp_path / "deepgram.log") as server:
        yield server


@pytest.fixture(scope="session")
def recordings_url() -> Iterator[str]:
    """Where the shipped recordings can be fetched by file name."""
    with recordings_server() as url:
        yield url


@pytest.fixture(scope="session")
def service_account(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The key file of a throw-away service account, and its public key as PEM."""
    path = tmp_path_factory.mktemp("key") / "service-account.json"
    return path, write_service_account(path, PROJECT, bits=1024)


@pytest.fixture(scope="session")
def metric_reader() -> RecordedMetrics:
    """The SDK's metrics, started for the rest of the session."""
    return RecordedMetrics()


@pytest.fixture
def recorded_metrics(metric_reader: RecordedMetrics) -> RecordedMetrics:
    """What the test records, without what others did before."""
    metric_reader.collect()
    return metric_reader


@pytest.fixture
def cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_account: tuple[Path, bytes]
) -> Iterator[LoopbackCloud]:
    """Storage, Pub/Sub and Cloud Run of the test's own, and the environment that leads to them and nowhere else."""
    for name in os.environ:
        if name.startswith(("GOOGLE_", "GCLOUD_", "CLOUDSDK_", "DEEPGRAM_", "CLOUD_RUN_")):
            monkeypatch.delenv(name)
    with loopback_cloud(tmp_path, monkeypatch.setenv, *service_account) as started:
        yield started


@pytest.fixture
def make_services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeServices]:
    """`make_services(ENABLE_FALLBACK="false")`: the function's services over the cloud, with these settings."""
    with function_services(monkeypatch.setenv) as make:
        yield make


@pytest.fixture
def services(make_services: MakeServices) -> Services:
    """The function's services with the settings of a fresh deployment that has no Deepgram key."""
    return make_services()
