"""The images' Dockerfiles: their rules hold, and a mistake is seen."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gpu_job.asr.nemo.model_files import BadModel, Precision, PreparedModel
from infra.docker.bake_model import bake
from infra.tiny_parakeet import MODEL_PATH
from tests.support.dockerfile_rules import DOCKERFILES, FOLDER, ROOT, parse, problems
from tests.support.hub_server import COMMIT as PUBLISHED_COMMIT
from tests.support.hub_server import HubServer
from tests.support.waiting import PATIENCE

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""That `main` means at the stand-in for Hugging Face."""
SHA256 = hashlib.sha256(MODEL_PATH.read_bytes()).hexdigest()
HADOLINT = os.environ.get("HADOLINT") or shutil.which("hadolint") or str(ROOT / "build/hadolint/bin/hadolint")


def text_of(name: str) -> str:
    return (FOLDER / name).read_text()


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_rules_hold(name: str) -> None:
    assert problems(text_of(name)) == []


@pytest.mark.parametrize(
    ("written", "mistaken", "problem"),
    [
        (" --only-binary :all:", "", "not from wheels only"),
        (" --require-hashes --only-binary", " --only-binary", "not installed by hash"),
        ("pip install --no-deps --require-hashes --only-binary :all: -r req", "pip install torch -r req", "by hash"),
        ("python:3.11.14-slim-bookworm\n", "python:3.11-slim\n", "slim Python 3.11 of one release"),
        ("FROM ${PYTHON} AS packages", "FROM nvidia/cuda:12.8.1-devel-ubuntu22.04 AS packages", "no known base"),
        ("RUN python -m venv", "RUN apt-get install -y build-essential && python -m venv", "a compiler"),
        ("USER 10001:10001\n", "", "user of its own"),
        ("USER 10001:10001", "USER root", "user of its own"),
        ('ENTRYPOINT ["python", "-m", "gpu_job"]', "ENTRYPOINT python -m gpu_job", "swallows signals"),
        ('"gpu_job.health"]', '"gpu_job.healht"]', "HEALTHCHECK"),
        ("HOME=/tmp", "HOME=/home/job", "HOME is not below /tmp"),
        ("PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "log lines wait"),
        ("ENV PIP_NO_CACHE_DIR=1", "ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1", "no bytecode"),
        ("JOB_GPU=", "LD_LIBRARY_PATH=/usr/local/cuda/lib64 JOB_GPU=", "another cuDNN"),
        ("COPY shared ./shared", "COPY tests ./tests", "which .dockerignore hides"),
        ("COPY shared ./shared", "COPY .env ./", "which .dockerignore hides"),
        ("COPY shared ./shared", "COPY shraed ./shared", "which does not exist"),
        ("COPY shared ./shared", "ADD https://example.com/shared.tgz ./shared", "ADD fetches"),
    ],
)
@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_mistake_is_seen(name: str, written: str, mistaken: str, problem: str) -> None:
    text = text_of(name)
    assert written in text
    assert problem in "\n".join(problems(text.replace(written, mistaken, 1)))


def test_both_images_are_made_the_same_way() -> None:
    """But for the model's stage, the lock with its source distribution, titles, comments, and the environment."""
    cpu, gpu = (parse(text_of(name)) for name in ("Dockerfile.cpu", "Dockerfile.gpu"))
    assert [(stage.base, stage.name) for stage in cpu.stages] == [(stage.base, stage.name) for stage in gpu.stages]
    for ours, theirs in zip(cpu.stages, gpu.stages, strict=True):
        if ours.name == "model":
            continue
        expected = [
            (
                keyword,
                line.replace("requirements-gpu", "requirements-cpu")
                .replace("job, GPU", "job, CPU")
                .replace(".[gpu]", ".[job]")
                .replace(" infra/docker/sources.txt", "")
                .replace(" && pip install --no-deps --require-hashes --no-build-isolation -r sources.txt", "")
                .replace("WORKDIR /opt/project", "WORKDIR /models"),
            )
            for keyword, line in theirs.instructions
        ]
        changed = {"ENV", "WORKDIR"} if ours is cpu.final else set()
        assert [one for one in ours.instructions if one[0] not in changed] == [
            one for one in expected if one[0] not in changed
        ]
    differing = {"HF_HOME", "HF_HUB_OFFLINE", "PARAKEET_MODEL_NAME", "JOB_GPU"}
    theirs_alone = {"NUMBA_CACHE_DIR", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
    assert cpu.final.environment.keys() - differing == gpu.final.environment.keys() - differing - theirs_alone
    assert cpu.final.environment["JOB_GPU"] == "none"


@pytest.mark.parametrize("source", ["someone/published-tdt", "parakeet-tdt-tiny.nemo"])
def test_the_cpu_images_model_is_fetched_by_what_its_stage_copies_and_found_offline(
    tmp_path: Path, source: str
) -> None:
    dockerfile = parse(text_of("Dockerfile.cpu"))
    stage = dockerfile.stage("model")
    for arguments in stage.of("COPY"):
        *sources, target = arguments.split()
        for one in sources:
            if (ROOT / one).is_dir():
                shutil.copytree(ROOT / one, tmp_path / target)
            else:
                (tmp_path / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / one, tmp_path / target)
    (command,) = stage.of("RUN")
    assert command.endswith(
        "HF_HOME=/models/hub /opt/dropscribe/bin/python"
        ' bake_onnx_model.py "$MODEL" /models --revision "$MODEL_REVISION"'
    )
    models = tmp_path / "models"
    (models / "hub").mkdir(parents=True)
    tiny = {file.name: file.read_bytes() for file in MODEL_PATH.with_suffix("").iterdir()}
    # The hub publishes int8 under names of its own; these are the tiny model's fp32 networks.
    published = {name.replace(".onnx", ".int8.onnx"): data for name, data in tiny.items()}
    environment = {**os.environ, "PYTHONPATH": "", "HF_HOME": str(models / "hub"), "HF_HUB_CACHE": ""}
    del environment["HF_HUB_CACHE"]
    with HubServer("someone/published-tdt", published) as hub:
        done = subprocess.run(
            [sys.executable, "bake_onnx_model.py", source, models, "--revision", "main"],
            cwd=tmp_path,
            env={**environment, "HF_ENDPOINT": hub.url},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr
    assert " 11 MB in " in done.stdout
    # As in the image: in its folder, without a network.
    assert dockerfile.final.of("WORKDIR") == ["/models"]
    loaded = subprocess.run(
        [sys.executable, "-m", "gpu_job.health", "--load"],
        cwd=models,
        env={
            **environment,
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "PARAKEET_MODEL_NAME": source,
            "JOB_GPU": "none",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    model = json.loads(loaded.stdout)["model"]
    if source.endswith(".nemo"):
        assert model["revision"] is None
    else:
        graphs = {name: data for name, data in published.items() if name.endswith(".onnx")}
        assert (model["source"], model["revision"]) == (source, PUBLISHED_COMMIT)
        assert model["networks_sha256"] == {name: hashlib.sha256(data).hexdigest() for name, data in graphs.items()}


def test_docker_sees_nothing_but_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {source for name in DOCKERFILES for stage in parse(text_of(name)).stages for source in stage.copied}
    assert rules[0] == "*"
    assert {each for each in allowed if not any(f"{source}/".startswith(f"{each}/") for source in copied)} == set()
    assert {"**/.*", "**/__pycache__"} <= set(rules[len(allowed) :])


def test_the_model_is_fetched_and_baked_by_what_its_stage_copies(tmp_path: Path) -> None:
    stage = parse(text_of("Dockerfile.gpu")).stage("model")
    for arguments in stage.of("COPY"):
        *sources, target = arguments.split()
        (tmp_path / target).mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(ROOT / source, tmp_path / target)
    assert (tmp_path / MODEL_PATH.name).is_file()
    name, target = f"someone/{MODEL_PATH.stem}", tmp_path / "models"
    (command,) = stage.of("RUN")
    assert 'bake_model.py "$MODEL" /models/parakeet --revision "$MODEL_REVISION" --sha256 "$MODEL_SHA256"' in command
    with model_hub(name, MODEL_PATH) as address:
        done = subprocess.run(
            [sys.executable, "bake_model.py", name, target, "--revision", "main", "--sha256", ""],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": "", "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "fetched")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, done.stderr
    assert f"sha256 {SHA256}" in done.stdout
    manifest = PreparedModel.open(target).manifest
    assert (manifest.source, manifest.precision) == (name, Precision.BF16)
    assert (manifest.revision, manifest.archive_sha256) == (COMMIT, SHA256)


@contextmanager
def model_hub(name: str, file: Path) -> Iterator[str]:
    """A server that publishes one file as Hugging Face publishes a large one; its address."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            known = self.path in {f"/{name}/resolve/{revision}/{file.name}" for revision in ("main", COMMIT)}
            self.send_response(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", str(file.stat().st_size if known else 0))
            self.send_header("ETag", f'"{SHA256}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(file.read_bytes())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_model_with_another_checksum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="instead of 0000"):
        bake(str(MODEL_PATH), tmp_path / "models", "main", "0" * 64)
    assert not (tmp_path / "models").exists()


@pytest.mark.skipif(
    not Path(HADOLINT).is_file(), reason="hadolint is not on the PATH, at $HADOLINT, nor in build/hadolint"
)
@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    command = [HADOLINT, "--config", str(FOLDER / ".hadolint.yaml"), str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == ""
    assert done.returncode == 0
