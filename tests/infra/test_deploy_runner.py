"""Order, repetition and failure of a deployment, with stand-ins for gcloud and Terraform."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from infra.cli.doctor import print_findings
from infra.deploy import plan
from infra.deploy.options import Options, Target
from infra.deploy.plan import DEEPGRAM_KEY, comparison, deployment, removal
from infra.deploy.runner import Runner
from infra.deploy.steps import Step
from infra.doctor.commands import PROGRAM_NOT_FOUND, ask, newest_release
from infra.doctor.names import Names
from infra.doctor.report import preflight
from infra.doctor.settings import DoctorSettings
from infra.terraform_offline.terraform import ROOT
from tests.support.command_stand_ins import READY, CommandStandIns, command_stand_ins
from tests.support.doctor_deployment import DoctorDeployment, fixes, not_ok
from tests.support.waiting import PATIENCE

OPTIONS = Options(Target(Names("my-project", "us-central1")), "abc123", approved=True, with_deepgram_key=True)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandStandIns:
    """First on the PATH, and in the target of the steps' interpreter."""
    return command_stand_ins(tmp_path / "programs", monkeypatch.setenv, "gcloud", "terraform", "python")


@pytest.fixture
def steps(stand_ins: CommandStandIns, monkeypatch: pytest.MonkeyPatch) -> tuple[Step, ...]:
    monkeypatch.setattr(sys, "executable", str(stand_ins.folder / "python"))
    return deployment(OPTIONS)


NOTHING_THERE = {
    "buckets describe": (1, ""),
    "images describe": (1, ""),
    "objects describe": (1, ""),
    "secrets describe": (1, ""),
}
Run = Callable[[tuple[Step, ...]], tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(steps): the exit status, and what was said."""

    def ran(steps: tuple[Step, ...]) -> tuple[int, str]:
        said = io.StringIO()
        runner = Runner(tmp_path, Console(file=said, width=200), {DEEPGRAM_KEY: "s3cret"})
        return runner.run(steps), said.getvalue()

    return ran


def acted(stand_ins: CommandStandIns) -> list[str]:
    """Commands that are no probes."""
    return [line for line in stand_ins.called() if " describe " not in line]


def test_a_first_deployment_runs_every_step_in_order(
    stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run
) -> None:
    stand_ins.answer(**NOTHING_THERE)
    status, said = run(steps)
    assert status == 0
    assert [line.split()[1:] for line in acted(stand_ins)] == [list(step.command[1:]) for step in steps]
    assert "Done already" not in said


def test_what_is_there_is_not_made_again(stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run) -> None:
    assert run(steps)[0] == 0
    done = "\n".join(acted(stand_ins))
    assert "builds submit" not in done
    assert "buckets create" not in done
    assert "storage cp" not in done
    assert done.count(" apply ") == 1


def test_the_first_failure_ends_it_and_the_next_run_goes_on_from_there(
    stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run
) -> None:
    stand_ins.answer(**NOTHING_THERE, **{"builds submit": (3, "")})
    status, said = run(steps)
    assert status == 3
    assert "FAILED (3): Build the images" in said
    assert "gcloud logging read resource.type=build" in said
    assert acted(stand_ins)[-1].startswith("gcloud beta builds submit")

    before = len(acted(stand_ins))
    stand_ins.answer(**NOTHING_THERE | {"buckets describe": (0, "")})
    assert run(steps)[0] == 0
    again = acted(stand_ins)[before:]
    assert not [line for line in again if "buckets create" in line]
    assert [line for line in again if "builds submit" in line]
    assert "infra.deploy.smoke" in "\n".join(again)


def test_an_apply_that_fails_is_tried_once_more_where_nobody_has_to_approve_it(
    stand_ins: CommandStandIns, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(plan, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(sys, "executable", str(stand_ins.folder / "python"))
    stand_ins.answer(**{" apply ": (1, "Permission denied while using the Eventarc Service Agent")})
    for approved, times in ((True, 2), (False, 1)):
        before = len(acted(stand_ins))
        status, said = run(deployment(replace(OPTIONS, approved=approved)))
        assert status == 1
        assert "FAILED (1): Apply everything" in said
        applied = [line for line in acted(stand_ins)[before:] if " apply " in line]
        assert len(applied) == times
        assert ("Once more in 0 s" in said) is approved


def test_what_the_doctor_finds_before_a_deploy_is_printed_and_stops_nothing(
    stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run
) -> None:
    stand_ins.answer(doctor=(1, "GPU quota: 0"))
    status, said = run(steps)
    assert status == 0
    assert "Without GPU quota the CPU job does the work" in said
    assert "infra.deploy.smoke" in "\n".join(stand_ins.called())


def test_a_schema_that_pubsub_refuses_an_outcome_under_ends_the_deploy_before_anything_is_built(
    stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run
) -> None:
    stand_ins.answer(**NOTHING_THERE, **{"infra.deploy.schema": (1, "INVALID_ARGUMENT")})
    status, said = run(steps)
    assert status == 1
    assert "set results_schema = false in VARS" in said
    assert not [line for line in acted(stand_ins) if " apply " in line or "builds submit" in line]


def test_the_key_is_read_from_standard_input_and_stands_nowhere_else(
    stand_ins: CommandStandIns, steps: tuple[Step, ...], run: Run
) -> None:
    _, said = run(steps)
    assert stand_ins.read() == ["s3cret"]
    assert "s3cret" not in said + "".join(stand_ins.called())


def test_checks_that_fail_are_all_printed_with_their_fix_and_no_token_is_shown(
    empty_project: DoctorDeployment,
) -> None:
    empty_project.commands.answer(
        **READY | {"gcloud projects describe": (0, "DELETE_REQUESTED"), "billing projects": (0, "False")}
    )
    said = io.StringIO()
    report = preflight(OPTIONS.target.names, DoctorSettings())
    print_findings(report, Console(file=said, width=200))
    assert report.stops_deploy
    lines = said.getvalue().splitlines()
    assert [line for line in lines if line.startswith(("fail", "unknown"))] == [
        "fail     project: my-project is DELETE_REQUESTED.",
        "fail     billing: No open billing account is linked to the project.",
    ]
    assert any("gcloud billing projects link my-project" in line for line in lines)
    assert "ya29" not in said.getvalue()


def test_a_project_that_is_ready_may_be_deployed_to(empty_project: DoctorDeployment) -> None:
    report = preflight(OPTIONS.target.names, DoctorSettings())
    assert not report.stops_deploy
    assert {finding.status.value for finding in report.findings()} == {"ok"}


@pytest.mark.parametrize(
    ("answer", "subject", "fix"),
    [
        ({"terraform version": (0, "Terraform v1.8.5")}, "Terraform", "Install Terraform 1.9"),
        ({"gcloud version": (1, "")}, "gcloud", "https://cloud.google.com/sdk/docs/install"),
        ({"auth print-access-token": (1, "")}, "gcloud", "gcloud auth login --update-adc"),
        ({"gcloud projects describe": (1, "")}, "project", "gcloud auth list"),
        ({"storage buckets list": (0, "EUROPE-WEST4")}, "deployment's region", "DEPLOYMENT=..."),
        ({"images describe": (1, "")}, "release", "docker tags list us-central1-docker.pkg.dev/my-project"),
        ({"function-v1.zip": (1, "")}, "release", "docker tags list us-central1-docker.pkg.dev/my-project"),
    ],
)
def test_whatever_is_not_as_it_must_be_or_cannot_be_asked_stops_a_deploy(
    empty_project: DoctorDeployment, answer: dict[str, tuple[int, str]], subject: str, fix: str
) -> None:
    empty_project.commands.answer(**READY | answer)
    report = preflight(OPTIONS.target.names, DoctorSettings(), release="v1")
    assert report.stops_deploy
    assert set(not_ok(report)) == {subject}
    assert fix in fixes(report, subject)


def test_without_credentials_nothing_is_deployed(empty_project: DoctorDeployment) -> None:
    empty_project.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(empty_project.folder / "nothing.json"))
    report = preflight(OPTIONS.target.names, DoctorSettings())
    assert report.stops_deploy
    assert set(not_ok(report)) == {"credentials"}


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert ask(("no-such-program",)).complaint == "no-such-program is not on the PATH."
    runner = Runner(tmp_path, Console(file=io.StringIO()), {})
    assert runner.run([Step("Run it", "", ("no-such-program",))]) == PROGRAM_NOT_FOUND


def called(verb: str, *options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m infra.deploy`, with nobody at a terminal."""
    where = ("--project", "my-project", "--region", "us-central1")
    command = [sys.executable, "-m", "infra.deploy", verb, *where, *options]
    return subprocess.run(command, cwd=ROOT, input=answer, capture_output=True, text=True, timeout=PATIENCE)


def test_nothing_is_deleted_before_the_projects_name_was_typed(stand_ins: CommandStandIns) -> None:
    refused = called("destroy", answer="yes\n")
    assert refused.returncode != 0
    assert "uploads, transcripts" in refused.stdout
    assert "nothing was deleted" in refused.stderr
    assert stand_ins.called() == []


def test_what_is_asked_is_counted_against_the_project_whatever_the_credentials_name(
    stand_ins: CommandStandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "elsewhere")
    program = "import os; from infra.deploy.__main__ import app; app(standalone_mode=False)"
    program += "; print('quota:', os.environ['GOOGLE_CLOUD_QUOTA_PROJECT'])"
    command = [sys.executable, "-c", program, "destroy", "--project=my-project", "--region=us-central1", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.splitlines()[-1] == "quota: my-project", done.stderr


def test_nothing_is_deployed_where_nobody_can_approve_it(stand_ins: CommandStandIns) -> None:
    refused = called("deploy", "--release=v1")
    assert refused.returncode != 0
    assert "YES=1" in refused.stderr
    assert stand_ins.called() == []


def test_nothing_is_made_where_a_check_fails(empty_project: DoctorDeployment) -> None:
    empty_project.commands.answer(**READY | {"gcloud projects describe": (0, "DELETE_REQUESTED")})
    refused = called("deploy", "--release=v1", "--yes")
    assert refused.returncode == 1
    assert "fail     project: my-project is DELETE_REQUESTED." in refused.stdout
    ran = empty_project.commands.called()
    assert [line for line in ran if "images describe" in line]
    assert not [line for line in ran if " create " in line or " apply " in line or " enable " in line]


@pytest.mark.parametrize(
    ("listed", "cached"),
    [((0, "v7"), "v7"), ((0, "v8,v7"), "v8"), ((0, ""), None), ((1, "NOT_FOUND"), None)],
    ids=["one tag", "two tags", "no image yet", "no registry yet"],
)
def test_the_release_that_was_pushed_last_is_asked_for(
    stand_ins: CommandStandIns, listed: tuple[int, str], cached: str | None
) -> None:
    stand_ins.answer(**{"images list": listed})
    assert newest_release(OPTIONS.target.names) == cached
    [asked] = stand_ins.called()
    assert "us-central1-docker.pkg.dev/my-project/dropscribe/cpu --project=my-project" in asked


def test_a_comparison_changes_nothing(stand_ins: CommandStandIns, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "executable", str(stand_ins.folder / "python"))
    assert run(comparison(OPTIONS.target, "v1"))[0] == 0
    ran = stand_ins.called()
    assert " plan -var=project=my-project " in ran[-1]
    assert ran[-1].endswith("-var=release=v1")
    assert not [line for line in ran if " apply " in line or " destroy " in line or line.startswith("gcloud")]


def test_a_removal_ends_with_a_destroy(stand_ins: CommandStandIns, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "executable", str(stand_ins.folder / "python"))
    assert run(removal(OPTIONS.target))[0] == 0
    assert " destroy -auto-approve " in acted(stand_ins)[-1]
