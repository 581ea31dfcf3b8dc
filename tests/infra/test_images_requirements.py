"""What function and images are installed from: it resolves to wheels, within the project's pins, for where it runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.docker.locks import (
    FOLDER,
    ROOT,
    SOURCES,
    OutOfReach,
    Package,
    Part,
    Unresolvable,
    differences,
    pins,
    read,
    resolve,
)

TARGETED = 6_000_000_000
"""Bytes the GPU image should stay below, compressed and without the model."""

CPU_IMAGE_TARGET = 600_000_000
"""The same of the CPU image."""
BASE_IMAGE_BYTES = 45_000_000
"""python:3.11-slim, compressed (docs/images.md)."""

DIRECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def versions(part: Part) -> dict[str, str]:
    return {package.name: package.version for package in read(part.lock)}


def declared(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with this extra, and with the extras it names."""
    asked = [Requirement(text) for text in (*DIRECT["dependencies"], *DIRECT["optional-dependencies"][extra])]
    ours = [each for each in asked if each.name == DIRECT["name"]]
    return [each for each in asked if each not in ours] + [
        found for each in ours for name in each.extras for found in declared(name)
    ]


@pytest.fixture(scope="module")
def resolved() -> dict[Part, list[Package]]:
    try:
        return {part: resolve(part) for part in Part}
    except OutOfReach as error:
        pytest.skip(f"The package index cannot be reached: {str(error)[:200]}")


@pytest.mark.parametrize("part", Part)
def test_every_set_resolves_to_wheels_and_is_what_is_written_down(
    resolved: dict[Part, list[Package]], part: Part
) -> None:
    assert list(differences(part, resolved[part])) == [], "run `python -m infra.docker lock`"


@pytest.mark.parametrize("part", Part)
def test_the_locked_files_are_still_in_the_index(resolved: dict[Part, list[Package]], part: Part) -> None:
    offered = {package.name: set(package.hashes) for package in resolved[part]}
    assert [package.name for package in read(part.lock) if not offered[package.name] & set(package.hashes)] == []


def test_the_gpu_image_stays_below_its_size(resolved: dict[Part, list[Package]]) -> None:
    # Less would mean that CUDA is missing.
    assert 3_000_000_000 < sum(package.size for package in resolved[Part.GPU]) < TARGETED


def test_what_has_no_wheel_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\nname = "a"\nversion = "1"\n[project.optional-dependencies]\nfunction = ["texterrors==0.4.4"]\n'
    )
    try:
        with pytest.raises(Unresolvable, match="texterrors"):
            resolve(Part.FUNCTION, project)
    except OutOfReach as error:
        pytest.skip(f"The package index cannot be reached: {str(error)[:200]}")


def test_an_index_that_does_not_answer_is_no_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(OutOfReach):
        resolve(Part.FUNCTION)


@pytest.mark.parametrize("part", Part)
def test_what_is_written_down_keeps_the_projects_pins(part: Part) -> None:
    wanted = pins(part)
    locked = versions(part)
    # What torch alone brings is pinned by torch itself.
    unpinned = {name for name in locked if name not in wanted and not name.startswith(("nvidia-", "triton"))}
    assert unpinned == set()
    others = {
        name for name, version in locked.items() if name in wanted and not wanted[name].specifier.contains(version)
    }
    assert others == set()
    assert all(wanted[source.name].specifier.contains(source.version) for source in read(SOURCES))


@pytest.mark.parametrize("part", Part)
def test_what_the_project_asks_for_is_written_down(part: Part) -> None:
    locked = versions(part)
    for requirement in declared(part.extra):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)], prereleases=True)


@pytest.mark.parametrize("part", [Part.GPU])
def test_each_difference_from_the_projects_pins_differs_and_has_its_reason(part: Part) -> None:
    assert part.differences
    lines = part.differences.read_text().splitlines()
    replaced = [line for line in lines if line and not line.startswith("#")]
    assert replaced
    for line in replaced:
        pin = Requirement(line)
        assert pins(part)[canonicalize_name(pin.name)] == pin
        assert pins(Part.FUNCTION)[canonicalize_name(pin.name)].specifier != pin.specifier
        assert lines[lines.index(line) - 1].startswith("# ")


NVML = "nvidia-ml-py"
"""Asks the driver how busy a GPU is; Python alone, and no part of CUDA."""


def test_torch_is_of_the_cuda_that_the_l4s_driver_runs() -> None:
    gpu = versions(Part.GPU)
    cuda = {name for name in gpu if name.startswith("nvidia-")} - {NVML}
    assert gpu["torch"] == "2.10.0"
    assert gpu["cuda-bindings"].startswith("12.")
    assert "nvidia-cudnn-cu12" in cuda
    assert all(name.endswith("-cu12") for name in cuda)


def test_the_cpu_image_has_no_torch_no_nemo_and_no_cuda() -> None:
    cpu = versions(Part.CPU)
    assert {"onnxruntime", "onnx-asr", "huggingface-hub", "av"} <= cpu.keys()
    assert cpu.keys().isdisjoint({"torch", "nemo-toolkit", "lightning", "numba", "librosa", NVML})
    assert {name for name in cpu if name.startswith("nvidia-")} == set()


def test_the_cpu_image_stays_below_its_size(resolved: dict[Part, list[Package]]) -> None:
    assert sum(package.size for package in resolved[Part.CPU]) + BASE_IMAGE_BYTES < CPU_IMAGE_TARGET


@pytest.mark.parametrize("path", [*(part.lock for part in Part), FOLDER / "sources.txt"], ids=lambda path: path.name)
def test_every_line_of_a_lock_has_its_hash(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [str(each) for each in read(path)] == lines
    assert all(each.startswith("sha256:") and len(each) == 71 for package in read(path) for each in package.hashes)
    assert all(package.hashes for package in read(path))


def test_the_functions_requirements_are_complete_and_light() -> None:
    names = set(versions(Part.FUNCTION))
    assert {"av", "functions-framework", "google-cloud-storage", "grpcio"} <= names
    assert names.isdisjoint({"torch", "nemo-toolkit", "dropscribe", "numpy"})
    assert {requirement.name for requirement in declared("telemetry")} <= {each.name for each in declared("function")}
