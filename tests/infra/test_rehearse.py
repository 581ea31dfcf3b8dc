"""The rehearsal of deploys: what it takes for a fault, what its recorded project refuses, what the docs have of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.deploy.options import Options, Target
from infra.deploy.plan import deployment, removal
from infra.doctor.names import Names
from infra.rehearse.__main__ import rehearse
from infra.rehearse.recorded_project import GPU_REFUSED, RecordedProject
from infra.rehearse.rehearsal import RunResult, faults_of
from infra.rehearse.scenarios import CHECKS, NAMES, SCENARIOS, Run
from infra.rehearse.transcript import PAGE, written
from infra.terraform_offline.terraform import ROOT

JOB = "google_cloud_run_v2_job"
FUNCTION = "google_cloudfunctions2_function"


def test_the_page_has_what_is_rehearsed() -> None:
    text = PAGE.read_text()
    assert written(text) == text, "python -m infra.rehearse.transcript"
    assert all(scenario.title in text for scenario in SCENARIOS)


def test_a_scenario_is_run_and_one_that_should_end_otherwise_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    [billing] = [scenario for scenario in SCENARIOS if scenario.title == "No billing"]
    otherwise = replace(billing, runs=(replace(billing.runs[0], stops_at="Apply everything"),))
    assert rehearse([billing, otherwise]) == ["No billing: it stopped at 'the checks'"]
    said = capsys.readouterr().out
    assert "$ make deploy PROJECT=a-rehearsal REGION=us-central1\n" in said
    assert "fail     billing: No open billing account" in said
    assert "As it should be: it stops at 'the checks'" in said
    assert "NOT AS IT SHOULD BE" in said


@pytest.mark.parametrize(
    ("run", "faults"),
    [
        (Run(("done",), left_out=("Build",)), 0),
        (Run(("nothing",), left_out=("Build",)), 1),
        (Run(("done",)), 1),
        (Run(("done",), stops_at="Apply", left_out=("Build",)), 1),
        (Run(("done",), stops_at=CHECKS), 3),
    ],
)
def test_an_end_is_held_to_status_step_words_and_what_was_left_out(run: Run, faults: int) -> None:
    assert len(list(faults_of(run, RunResult(0, "Apply", ("Build",), ("it is done",))))) == faults


def job(device: str) -> dict[str, Any]:
    image = f"{NAMES.registry}/{device}:v1"
    return {"name": NAMES.job(device), "template": [{"template": [{"containers": [{"image": image}]}]}]}


def function() -> dict[str, Any]:
    source = {"bucket": NAMES.bucket("source"), "object": "function-v1.zip"}
    return {
        "name": NAMES.function("upload"),
        "build_config": [{"source": [{"storage_source": [source]}]}],
        "service_config": [{"environment_variables": {}}],
        "event_trigger": [],
    }


@pytest.fixture
def project() -> RecordedProject:
    """With a release and all APIs that jobs and functions need; no GPU quota."""
    made = RecordedProject(NAMES)
    made.keep_release("v1")
    for api in ("run", "cloudfunctions", "iam"):
        made.applied("google_project_service", None, {"service": f"{api}.googleapis.com"})
    return made


def test_what_has_all_it_needs_is_made(project: RecordedProject) -> None:
    assert project.applied(JOB, None, job("cpu")) is None
    assert project.applied(FUNCTION, None, function()) is None
    assert project.resources[JOB] == project.resources[FUNCTION] == 1
    assert project.applied(JOB, job("cpu"), None) is None
    assert project.resources[JOB] == 0


def test_a_gpu_takes_quota(project: RecordedProject) -> None:
    assert project.applied(JOB, None, job("gpu")) == GPU_REFUSED
    project.grant(1)
    assert project.applied(JOB, None, job("gpu")) is None


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (JOB, job("cpu"), "not found"),
        (FUNCTION, function(), "was not found"),
        ("google_pubsub_topic", {"name": "a"}, "pubsub.googleapis.com has not been used"),
        (
            "google_service_account_iam_member",
            {"member": "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"},
            "does not exist",
        ),
    ],
)
def test_what_lacks_something_is_refused(
    project: RecordedProject, kind: str, values: Mapping[str, Any], why: str
) -> None:
    project.images.clear()
    project.objects.clear()
    refused = project.applied(kind, None, dict(values))
    assert refused is not None
    assert why in refused


def test_a_command_that_was_not_recorded_fails(project: RecordedProject) -> None:
    assert project.gcloud(["projects", "delete", "a"])["status"] == 1


COMPLETIONS = Path("/usr/lib/google-cloud-sdk/data/cli/gcloud_completions.py")


@pytest.mark.skipif(not COMPLETIONS.exists(), reason="SKIPPED: gcloud's own table of its commands is not here.")
def test_gcloud_knows_every_command_and_option() -> None:
    """Against the table that gcloud's completion goes by: it has each command's options."""
    table: dict[str, Any] = {}
    exec(COMPLETIONS.read_text(), table)
    tree = table["STATIC_COMPLETION_CLI_TREE"]
    target = Target(Names("my-project", "us-central1"))
    options = Options(target, "v1", with_deepgram_key=True)
    steps = [*deployment(options), *removal(target)]
    commands = [command for step in steps for command in (step.command, *step.done_if) if command[0] == "gcloud"]
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("deploy.md", "tutorial-deploy.md"))
    written_in_pages = re.findall(r"^ *(gcloud .+)$", pages, re.MULTILINE)
    commands += [tuple(line.split()) for line in written_in_pages if not line.endswith("...")]
    assert len(commands) > 12
    unknown = []
    for command in commands:
        at, known = tree, set(tree["flags"])
        for word in command[1:]:
            if word in at["commands"]:
                at = at["commands"][word]
                known |= set(at.get("flags", {}))
            elif word.startswith("--") and word.partition("=")[0] not in known:
                unknown.append(" ".join(command))
    assert unknown == []
