"""A person's path: the command, without a model named, fetches the published one and writes words."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from infra.cli.exit_codes import ExitCode
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from shared.languages.models import PUBLISHED_MODEL
from tests.support.hub_server import HubServer
from tests.support.waiting import PATIENCE

REPOSITORY = "istupakov/parakeet-tdt-0.6b-v2-onnx"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    """The hub, with the tiny model's networks under the published one's names."""
    files = {path.name: path.read_bytes() for path in ONNX_PATH.iterdir()}
    named = {name.replace("-model.onnx", "-model.int8.onnx"): content for name, content in files.items()}
    with HubServer(REPOSITORY, named) as server:
        yield server


def dropscribe(cwd: Path, environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_a_recording_is_transcribed_with_the_published_model(hub: HubServer, tmp_path: Path) -> None:
    memo = recording("memo")
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    done = dropscribe(tmp_path, environment, "run", memo.path, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    [message] = map(json.loads, done.stdout.splitlines())
    assert message["model"] == PUBLISHED_MODEL
    assert message["outcome"] == "completed"
    text = (tmp_path / "out" / memo.path.name / "transcript.txt").read_text()
    assert text.startswith("The doctor remembered the report")
    cache = tmp_path / "hf" / "hub"
    assert f"Fetching {PUBLISHED_MODEL} from {hub.url}/{REPOSITORY}: 11 MB into {cache}, where" in done.stderr
    # The second time nothing is asked of the network, nor said; Deepgram's stand-in listens with the same files.
    hub.requests.clear()
    asked = ("run", memo.path, "--method", "deepgram", "--out", tmp_path / "out2", "--json")
    done = dropscribe(tmp_path, environment, *asked)
    assert done.returncode == 0, done.stderr
    assert "Fetching" not in done.stderr
    assert hub.requests == []
    assert json.loads(done.stdout)["engines"] == ["deepgram"]


@pytest.mark.parametrize("command", [("run", recording("memo").path), ("up", "watched")])
def test_without_a_network_one_line_names_the_ways_on(command: tuple[object, ...], tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = dropscribe(tmp_path, {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}, *command)
    assert done.returncode == ExitCode.NO_MODEL
    [line] = [line for line in done.stderr.splitlines() if "real time" not in line]
    assert line.startswith(
        f"The model nvidia/parakeet-tdt-0.6b-v2 is not on this machine: {endpoint} cannot be reached"
    )
    for way in ("--model PATH", "--model tiny", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        assert way in line
