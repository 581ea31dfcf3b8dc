"""The function's archive: what is in it, that its bytes are always the same, and that it works with nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.deploy import archive
from infra.emulators.deepgram_server import DeepgramServer
from infra.emulators.eventarc import Eventarc
from infra.emulators.function_host import FunctionHost
from infra.recordings import recording
from shared.media import Upload
from shared.options.metadata_keys import METHOD_METADATA
from tests.support.loopback_cloud import GPU_JOB, LoopbackCloud
from tests.support.waiting import PATIENCE

"""Seconds; only a broken function uses them up."""

# Read by the interpreter before anything else: of all that is installed only what requirements.txt names can be found.
ONLY_REQUIREMENTS = """
import re, sys
from importlib.metadata import packages_distributions

def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()

named = {{normal(line.partition("==")[0]) for line in open({requirements!r})}}
hidden = {{
    module for module, owners in packages_distributions().items() if not named & set(map(normal, owners))
}} | {{"gpu_job", "infra", "benchmarks", "tests"}}
hidden -= {{"trigger_function", "shared", "sitecustomize"}}

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}: requirements.txt does not bring it", name=name)

sys.meta_path.insert(0, Hidden)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive in a folder of its own."""
    folder = tmp_path_factory.mktemp("function")
    path = folder / "function.zip"
    archive.write(path, archive.contents())
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder / "source")
    return folder / "source"


@pytest.fixture(scope="module")
def environment(unpacked: Path) -> dict[str, str]:
    """Of an interpreter that finds the archive and its requirements, and nothing else."""
    walls = unpacked.parent / "walls"
    walls.mkdir()
    text = ONLY_REQUIREMENTS.format(requirements=str(unpacked / "requirements.txt"))
    (walls / "sitecustomize.py").write_text(text)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{walls}:{unpacked}", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def function(
    cloud: LoopbackCloud,
    shared_deepgram_server: DeepgramServer,
    deepgram_key: str,
    unpacked: Path,
    environment: dict[str, str],
    tmp_path: Path,
) -> Iterator[Eventarc]:
    """Brings events to the archive's function, which sees the small cloud."""
    seen = ("GOOGLE_", "STORAGE_", "PUBSUB_", "RUN_", "RESULTS_", "STATE_", "GPU_JOB")
    inherited = {name: value for name, value in os.environ.items() if name.startswith(seen)}
    deepgram = {"DEEPGRAM_API_KEY": deepgram_key, "DEEPGRAM_BASE_URL": shared_deepgram_server.url}
    env = {**environment, **inherited, **deepgram}
    with (
        FunctionHost("on_upload", unpacked / "main.py", "cloudevent", env, tmp_path / "function.log") as host,
        Eventarc(host.url, first_backoff=0.1) as eventarc,
    ):
        yield eventarc


def announced(eventarc: Eventarc, upload: Upload) -> None:
    """Send the event of an upload, and wait until it was taken."""
    eventarc.deliver({"bucket": upload.bucket, "name": upload.name, "generation": str(upload.generation)})
    eventarc.wait_idle(PATIENCE)


def test_an_upload_ends_in_the_unpacked_function(cloud: LoopbackCloud, function: Eventarc) -> None:
    memo = recording("memo")
    announced(function, cloud.drop(memo.path.read_bytes(), "calls/memo.wav", {METHOD_METADATA: "deepgram"}))
    [message] = cloud.terminal_messages()
    assert message.outcome == "completed", message.reason
    assert {"transcript.json", "receipt.json"} <= message.results.keys()
    assert message.bill.usd > 0


def test_an_upload_is_queued_by_the_unpacked_function(cloud: LoopbackCloud, function: Eventarc) -> None:
    upload = cloud.drop(recording("memo").path.read_bytes(), "calls/memo.wav", {METHOD_METADATA: "parakeet"})
    announced(function, upload)
    assert [item.upload for item in cloud.work_items()] == [upload]
    assert cloud.executions() == [GPU_JOB]


def test_both_entry_points_come_from_the_archive_alone(unpacked: Path, environment: dict[str, str]) -> None:
    code = (
        "import main, trigger_function.main as at; print(at.__file__); "
        "assert main.on_upload is at.on_upload and main.reconcile is at.reconcile"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=unpacked, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()) == unpacked / "trigger_function" / "main.py"


@pytest.mark.parametrize("module", ["torch", "nemo", "gpu_job", "infra", "typer"])
def test_what_the_function_does_not_need_cannot_be_imported_there(environment: dict[str, str], module: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"import {module}"], env=environment, cwd="/", capture_output=True, timeout=PATIENCE
    )
    assert b"requirements.txt does not bring it" in ran.stderr


def test_the_archives_bytes_follow_from_the_files_alone(tmp_path: Path) -> None:
    files = archive.contents()
    backwards = dict(reversed(files.items()))
    archive.write(tmp_path / "one.zip", files)
    archive.write(tmp_path / "other" / "two.zip", backwards)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other" / "two.zip").read_bytes()


def test_the_archive_holds_code_prices_and_pins_and_no_litter() -> None:
    files = archive.contents()
    assert {"main.py", "requirements.txt", "trigger_function/main.py", "shared/costs/prices.toml"} <= files.keys()
    assert not [name for name in files if "__pycache__" in name or name.startswith(("gpu_job", "infra", "tests"))]
    lines = files["requirements.txt"].decode().splitlines()
    assert all("==" in line for line in lines)
    assert not [line for line in lines if line.startswith(("torch", "nemo"))]
