"""The health check: one line, an exit status, and the reason where something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_job.asr.nemo.model_export import prepare
from gpu_job.asr.nemo.model_files import WEIGHTS, Precision
from gpu_job.health import HealthReport, examine, kernel_driver
from infra.tiny_parakeet import MODEL_PATH, ONNX_PATH
from tests.support.dockerfile_rules import FOLDER, parse
from tests.support.waiting import PATIENCE

PARAMETERS = 1_509_398
READ_ONLY = "mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs /tmp"
"""Shell that leaves /tmp the only place on the root's file system that can be written."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(str(MODEL_PATH), tmp_path_factory.mktemp("model") / "tiny", Precision.BF16).directory


def test_an_image_says_which_release_it_is_and_on_what_it_was_built(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPSCRIBE_RELEASE", "1a2b3c4d5e6f")
    monkeypatch.setenv("DROPSCRIBE_BASE", "python:3.11.14-slim-bookworm@sha256:00")
    report = look(prepared)
    assert (report.release, report.base) == ("1a2b3c4d5e6f", "python:3.11.14-slim-bookworm@sha256:00")


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    """A prepared model to damage."""
    return Path(shutil.copytree(prepared, tmp_path / "tiny"))


def look(model: Path | str, *, load: bool = False, gpu: str = "none") -> HealthReport:
    return examine(str(model), gpu, "auto", load=load)


def test_a_prepared_model_is_described_and_vouched_for(prepared: Path) -> None:
    report = look(prepared)
    assert report.healthy
    assert report.reason is None
    assert report.model.model_dump() == {
        "name": str(prepared),
        "source": MODEL_PATH.stem,
        "revision": None,
        "archive_sha256": None,
        "networks_sha256": None,
        "parameters": PARAMETERS,
        "precision": "bf16",
        "checksum_ok": True,
    }
    assert report.loaded is None


def test_onnx_networks_listen_without_torch() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'nemo'): sys.modules[name] = None\n"
        "from gpu_job.health import examine\n"
        f"print(examine({str(ONNX_PATH)!r}, 'none', 'auto', load=True).model_dump_json())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    report = HealthReport.model_validate_json(done.stdout)
    assert report.healthy, report.reason
    assert report.onnxruntime
    assert report.torch is None
    assert (report.model.source, report.model.precision, report.model.checksum_ok) == (MODEL_PATH.stem, "fp32", None)
    assert report.loaded
    assert (report.loaded.device, report.loaded.precision) == ("cpu", "fp32")


def test_onnx_networks_do_not_run_on_a_gpu() -> None:
    assert not look(ONNX_PATH, gpu="nvidia-l4", load=True).healthy


def test_onnx_networks_without_a_configuration_are_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    (tmp_path / "encoder-model.onnx").touch()
    report = look(tmp_path)
    assert not report.healthy
    assert "config.json" in (report.reason or "")


@pytest.mark.parametrize("kind", ["prepared", "nemo"])
def test_load_has_the_model_listen(prepared: Path, kind: str) -> None:
    report = look({"prepared": prepared, "nemo": MODEL_PATH}[kind], load=True)
    assert report.healthy, report.reason
    assert report.loaded
    assert (report.loaded.device, report.loaded.precision) == ("cpu", "float32")
    assert report.loaded.transcribe_seconds > 0


def test_a_changed_weight_is_found_without_loading(copy: Path) -> None:
    weights = bytearray((copy / WEIGHTS).read_bytes())
    weights[-1] ^= 1
    (copy / WEIGHTS).write_bytes(weights)
    report = look(copy)
    assert not report.healthy
    assert report.model.checksum_ok is False
    assert report.reason == f"The model's file {WEIGHTS} is damaged: its checksum is not the manifest's."


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    assert look(copy).reason == f"The model's file {WEIGHTS} is missing."


@pytest.mark.parametrize("name", ["nothing", "nothing.nemo"])
def test_a_missing_model_is_found(tmp_path: Path, name: str) -> None:
    report = look(tmp_path / name)
    assert not report.healthy
    assert name in str(report.reason)


def test_a_damaged_archive_is_found_by_loading(tmp_path: Path) -> None:
    broken = tmp_path / "broken.nemo"
    broken.write_bytes(MODEL_PATH.read_bytes()[:1_000_000])
    report = look(broken, load=True)
    assert not report.healthy
    assert "could not be loaded" in str(report.reason)


def test_a_gpu_that_is_wanted_and_not_there_is_said(prepared: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("There is a GPU here.")
    report = look(prepared, gpu="nvidia-l4", load=True)
    assert not report.healthy
    assert str(report.reason).startswith("JOB_GPU is nvidia-l4, but ")
    assert report.model.checksum_ok
    assert report.loaded is None


def test_a_wanted_gpu_is_described(prepared: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("There is no GPU here.")
    report = look(prepared, gpu="nvidia-l4", load=True)
    assert report.healthy, report.reason
    assert report.gpu
    assert report.loaded
    assert 0 < report.gpu.memory_free_bytes <= report.gpu.memory_total_bytes
    assert report.gpu.name in report.loaded.device


def test_the_drivers_version_is_read_off_the_kernel_module(tmp_path: Path) -> None:
    file = tmp_path / "version"
    assert kernel_driver(file) is None
    for text in (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.216.03  Fri Oct 25 22:43:06 UTC 2024\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.216.03  Release Build\nGCC version: gcc 12.2.0\n",
    ):
        file.write_text(text)
        assert kernel_driver(file) == "535.216.03"
    file.write_text("something else\n")
    assert kernel_driver(file) is None


def test_the_command_prints_one_line_and_exits_by_it(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "JOB_GPU": "none", "PARAKEET_MODEL_NAME": str(tmp_path / "nothing")}
    done = subprocess.run(
        [sys.executable, "-m", "gpu_job.health"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    (line,) = done.stdout.splitlines()
    assert done.returncode == 1
    assert json.loads(line)["reason"] == f"There is no model {tmp_path / 'nothing'}."


def test_the_images_environment_does_for_a_read_only_root_without_a_network(prepared: Path) -> None:
    """The check that Cloud Build makes of the image: nothing is written but below /tmp, and nothing is fetched."""
    alone = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-euc"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, READ_ONLY], capture_output=True, timeout=PATIENCE).returncode
    ):
        pytest.skip("No namespace with a read-only root can be made here.")
    image = parse((FOLDER / "Dockerfile.cpu").read_text()).final.environment
    environment = {
        **image,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": "/dev/shm/tree",
        "PARAKEET_MODEL_NAME": "/dev/shm/model",
    }
    # The model and this checkout, with its environment, may lie below /tmp: /dev/shm has them when that is empty.
    tree = Path(__file__).parents[2]
    python = sys.executable.replace(str(tree), "/dev/shm/tree")
    script = (
        f"mount -t tmpfs tmpfs /dev/shm && cp -r '{prepared}' /dev/shm/model"
        f" && mkdir /dev/shm/tree && mount --rbind '{tree}' /dev/shm/tree && {READ_ONLY} && cd /"
        f" && '{python}' -m gpu_job.health --load && ! touch /written 2>&-"
    )
    done = subprocess.run([*alone, script], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    report = HealthReport.model_validate_json(done.stdout)
    assert report.healthy
    assert report.loaded
