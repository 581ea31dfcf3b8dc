"""Whether a deployment gets a GPU job: by the quota, by the file of variables, and in what Terraform reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.deploy import gpu
from infra.deploy.gpu import CHOICE, choose, wanted_by
from infra.deploy.variables import Variables
from infra.deploy.workspace import module_of
from infra.doctor.checks_project import GPU_QUOTA
from tests.support.doctor_deployment import NAMES, DoctorDeployment

ONE_LINE = "gpu_enabled = false"


@pytest.mark.parametrize(
    ("limit", "wanted", "chosen"),
    [
        (3, None, True),
        (-1, None, True),
        (0, None, False),
        (None, None, None),
        (3, True, True),
        (0, True, None),
        (None, True, True),
        (3, False, False),
        (None, False, False),
    ],
)
def test_the_quota_decides_where_the_file_says_nothing(
    limit: int | None, wanted: bool | None, chosen: bool | None
) -> None:
    choice = choose(limit, wanted, NAMES)
    assert choice.gpu is chosen
    assert (ONE_LINE in choice.says) is (chosen is None)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("gpu_enabled = true", True),
        ("gpu_enabled = false", False),
        ("gpu_job = { cpu = 8 }", None),
        ("gpu_job = { enabled = false }", False),
        ("gpu_enabled = true\ngpu_job = { enabled = false }", False),
    ],
)
def test_either_switch_leaves_the_gpu_out(tmp_path: Path, text: str, wanted: bool | None) -> None:
    file = tmp_path / "a.tfvars"
    file.write_text(text)
    assert wanted_by(Variables.read(file)) is wanted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    module_of(made).mkdir(parents=True)
    return made


def chosen(folder: Path) -> object:
    return json.loads((module_of(folder) / CHOICE).read_text())


def set_quota(project: DoctorDeployment, value: int) -> None:
    (quota,) = (one for key, one in project.google.resources.items() if key.endswith(f"/{GPU_QUOTA}"))
    quota["dimensionsInfos"][0]["details"] = {"value": str(value)}


def test_a_new_projects_deployment_goes_without_and_takes_the_gpu_when_there_is_quota(
    empty_project: DoctorDeployment, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_quota(empty_project, 0)
    assert gpu.main(folder, NAMES, None) == 0
    assert chosen(folder) == {"gpu_enabled": False}
    assert "iam-admin/quotas" in capsys.readouterr().out
    set_quota(empty_project, 1)
    assert gpu.main(folder, NAMES, None) == 0
    assert chosen(folder) == {"gpu_enabled": True}


def test_a_gpu_that_is_asked_for_without_quota_ends_the_deploy_with_the_line_to_add(
    empty_project: DoctorDeployment, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_quota(empty_project, 0)
    file = tmp_path / "a.tfvars"
    file.write_text("gpu_enabled = true\n")
    assert gpu.main(folder, NAMES, file) == 1
    assert ONE_LINE in capsys.readouterr().out
    file.write_text(f"{ONE_LINE}\n")
    assert gpu.main(folder, NAMES, file) == 0
    assert chosen(folder) == {"gpu_enabled": False}


def test_a_quota_that_cannot_be_asked_is_never_taken_for_none(
    empty_project: DoctorDeployment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "PAUSE_SECONDS", 0.0)
    empty_project.apis.refuse("cloudquotas.googleapis.com", 403, "never used", "SERVICE_DISABLED")
    assert gpu.main(folder, NAMES, None) == 1
    assert not (module_of(folder) / CHOICE).exists()
