"""What function and images are installed from: it resolves to wheels, within the project's pins, for where it runs."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.docker.locks import problems, unpinned, written
from infra.docker.requirement_sets import FOLDER, Part, locked
from infra.docker.resolving import OutOfReach, Unresolvable, Wheel, resolve, resolve_set
from infra.docker.wheel_sizes import Size, sizes_of
from infra.requirements import declared, pinned, requirements_of

TARGETED = 6_000_000_000
"""Bytes the GPU image should stay below, compressed and without the model."""


@pytest.fixture(scope="module")
def resolved() -> dict[Part, list[Wheel]]:
    try:
        with ThreadPoolExecutor() as pool:
            return dict(zip(Part, pool.map(resolve, Part), strict=True))
    except OutOfReach as error:
        pytest.skip(f"The package index cannot be reached: {str(error)[:200]}")


@pytest.mark.parametrize("part", Part)
def test_every_set_resolves_to_wheels_and_is_what_is_written_down(
    resolved: dict[Part, list[Wheel]], part: Part
) -> None:
    assert all(wheel.url.endswith(".whl") for wheel in resolved[part])
    assert list(problems(part, resolved[part])) == [], "run `python -m infra.docker lock`"


def test_the_gpu_image_stays_below_its_size(resolved: dict[Part, list[Wheel]]) -> None:
    whole = sum(sizes_of(wheel.url for wheel in resolved[Part.GPU]), Size(0, 0, 0))
    # Less would mean that CUDA is missing.
    assert 3_000_000_000 < whole.compressed < TARGETED


def test_what_has_no_wheel_is_refused() -> None:
    try:
        with pytest.raises(Unresolvable, match="texterrors"):
            resolve_set(["texterrors==0.4.4"])
    except OutOfReach as error:
        pytest.skip(f"The package index cannot be reached: {str(error)[:200]}")


@pytest.mark.parametrize("part", Part)
def test_what_is_written_down_keeps_the_projects_pins(part: Part) -> None:
    assert list(unpinned(part)) == []


@pytest.mark.parametrize("part", [Part.CPU, Part.GPU])
def test_each_difference_from_the_projects_pins_differs_and_has_its_reason(part: Part) -> None:
    assert part.differences
    lines = part.differences.read_text().splitlines()
    for name, pin in pinned(part.differences).items():
        assert pinned()[name].specifier != pin.specifier
        assert lines[lines.index(str(pin)) - 1].startswith("# ")


NVML = "nvidia-ml-py"
"""Asks the driver how busy a GPU is; Python alone, and no part of CUDA."""


def test_torch_is_of_the_cuda_that_the_l4s_driver_runs() -> None:
    gpu = written(Part.GPU)
    cuda = {name for name in gpu if name.startswith("nvidia-")} - {NVML}
    assert gpu["torch"] == "2.10.0"
    assert gpu["cuda-bindings"].startswith("12.")
    assert "nvidia-cudnn-cu12" in cuda
    assert all(name.endswith("-cu12") for name in cuda)


def test_the_cpu_image_has_no_cuda() -> None:
    cpu = written(Part.CPU)
    assert cpu["torch"].endswith("+cpu")
    assert {name for name in cpu if name.startswith("nvidia-")} <= {NVML}


@pytest.mark.parametrize("file", ["requirements-cpu.txt", "requirements-gpu.txt", "sources.txt"])
def test_every_line_of_a_lock_has_its_hash(file: str) -> None:
    lines = [line for line in (FOLDER / file).read_text().splitlines() if not line.startswith("#")]
    assert [str(each) for each in locked(FOLDER / file)] == lines
    assert lines


def test_the_functions_requirements_are_complete_and_light() -> None:
    names = {line.partition("==")[0].lower() for line in requirements_of("function")}
    assert {"av", "functions-framework", "google-cloud-storage", "grpcio"} <= names
    assert names.isdisjoint({"torch", "nemo-toolkit", "dropscribe", "numpy"})
    assert {requirement.name for requirement in declared("telemetry")} <= {each.name for each in declared("function")}


def test_a_wheel_is_weighed_by_its_directory(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("a.py", b"x" * 1000)
        wheel.writestr("b.so", b"y" * 5000)
    file = tmp_path / "a b.whl"
    file.write_bytes(packed.getvalue())
    (size,) = sizes_of([file.as_uri()])
    assert size == Size(packed=len(packed.getvalue()), unpacked=6000, modules=1000)
    assert size.installed == 7330
