"""What `pip install dropscribe[local]` brings is enough to transcribe, and comes from wheels wherever Python runs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli.exit_codes import ExitCode
from infra.recordings import recording
from infra.tiny_parakeet import MODEL_PATH
from tests.support import without_torch
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
BLOCKER = Path(next(iter(without_torch.__path__)))

NEEDS_MORE = re.compile(r"gpu_job\.asr\.(nemo\..+|device|gpu_faults)|infra\.docker\.bake_model|.*\.__main__")
"""Modules for the `gpu` extra, and such as start something where they are imported."""

IMPORT_ALL = """
import importlib, json, pkgutil, re, sys
needs_more, failed = re.compile(sys.argv[1]), {}
for top in ("shared", "dropscribe", "trigger_function", "gpu_job", "infra"):
    for module in pkgutil.walk_packages(importlib.import_module(top).__path__, f"{top}."):
        if not needs_more.fullmatch(module.name):
            try:
                importlib.import_module(module.name)
            except Exception as error:
                failed[module.name] = repr(error)
print(json.dumps(failed))
"""


def run(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, without torch and NeMo in it and in all that it starts."""
    path = os.pathsep.join([str(BLOCKER), str(ROOT)])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_without_torch_there_is_no_torch() -> None:
    assert "ModuleNotFoundError" in run("-c", "import torch").stderr
    assert "ModuleNotFoundError" in run("-c", "from nemo.collections import asr").stderr


def test_every_module_but_those_of_the_gpu_extra_is_imported_without_torch() -> None:
    done = run("-c", IMPORT_ALL, NEEDS_MORE.pattern)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_a_recording_is_transcribed_without_torch(tmp_path: Path) -> None:
    memo = recording("memo")
    arguments = ("run", memo.path, "--model", "tiny", "--out", tmp_path / "out", "--json")
    done = run("-m", "infra.cli.main", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert (message["outcome"], message["engines"]) == ("completed", ["parakeet-cpu"])
    assert message["coverage"]["audited"]
    text = (tmp_path / "out" / memo.path.name / "transcript.txt").read_text()
    assert text.startswith("The doctor remembered the report")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("run", recording("memo").path, "--model", MODEL_PATH), "takes NeMo: install dropscribe[gpu]"),
        (("prepare-model", MODEL_PATH, "prepared"), "a model is prepared with NeMo: install dropscribe[gpu]"),
        (("run", recording("memo").path, "--model", "nvidia/parakeet-tdt-1.1b"), "no published model of this name"),
    ],
)
def test_what_takes_nemo_says_so(arguments: tuple[object, ...], why: str, tmp_path: Path) -> None:
    done = run("-m", "infra.cli.main", *arguments, cwd=tmp_path)
    assert done.returncode == ExitCode.NO_MODEL
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_one_call_transcribes_without_torch() -> None:
    program = "import sys; from gpu_job import transcribe; print(transcribe(sys.argv[1], engine=sys.argv[2]).text)"
    done = run("-c", program, recording("memo").path, ROOT / "infra" / "tiny_parakeet" / "parakeet-tdt-tiny")
    assert done.stdout.startswith("The doctor remembered the report"), done.stderr


def test_nothing_is_imported_that_windows_lacks() -> None:
    posix = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for package in ("shared", "dropscribe", "trigger_function", "gpu_job", "infra")
        for file in (ROOT / package).rglob("*.py")
        for statement in ast.parse(file.read_text()).body  # what is imported under a condition is not among them
        for name in posix
        if isinstance(statement, ast.Import) and any(alias.name == name for alias in statement.names)
    }
    assert found == set()


@pytest.mark.parametrize(
    "platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-pc-windows-msvc"]
)
def test_it_comes_from_wheels_and_without_torch_on_every_platform(platform: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "--no-config", "pip", "compile", "pyproject.toml", "--extra", "local"),
            *("--constraint", "constraints.txt", "--python-version", "3.11", "--python-platform", platform),
            *("--only-binary", ":all:", "--no-header", "--quiet"),
        ],
        # What the wheels of PyAV and numpy ask for.
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"The package index cannot be reached: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    names = set(re.findall(r"^([a-z0-9_.-]+)==", done.stdout, re.MULTILINE))
    assert {"onnxruntime", "av", "typer"} <= names
    assert {name for name in names if re.search("torch|nemo|nvidia|triton|transformers", name)} == set()
