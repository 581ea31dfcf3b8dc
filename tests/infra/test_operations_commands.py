"""`dropscribe reconcile` and `bench`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner, Result

from benchmarks.__main__ import BENCHMARKS
from infra.cli.exit_codes import ExitCode
from infra.cli.main import app
from infra.cli.operations.bench import benchmark_names
from shared import objects
from shared.media import Upload
from shared.state.jobs.record import new_holder
from shared.state.jobs.store import JobStore
from tests.support.doctor_deployment import NAMES, DoctorDeployment
from trigger_function.reconciler.sweep import SweepState

RECONCILER = f"v1/{NAMES.location}/jobs/dropscribe-reconcile"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def calls(deployment: DoctorDeployment) -> list[tuple[str, str]]:
    return [(one.verb, one.path) for one in deployment.apis.requests if one.host == "cloudscheduler.googleapis.com"]


def test_the_scheduler_calls_the_reconciler_now(deployment: DoctorDeployment) -> None:
    upload = Upload(bucket="some-uploads", name="a.mp3", generation=1)
    JobStore(deployment.state).claim(upload, new_holder("test"), timedelta(minutes=1))
    done = run("reconcile", "--project", NAMES.project, "--sweep", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "open_jobs": {"not queued": 1},
        "sweep": True,
        "called": True,
        "reconciled": None,
    }
    assert calls(deployment) == [("POST", f"{RECONCILER}:run")]
    stored = objects.read(deployment.state, "sweep.json")
    assert stored is not None
    assert SweepState.model_validate_json(stored.data) == SweepState()


def test_a_dry_run_calls_nobody(deployment: DoctorDeployment) -> None:
    done = run("reconcile", "--project", NAMES.project, "--sweep", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Open: no job.",
        "The reconciler would be called, and would look for uploads without a job.",
    ]
    assert calls(deployment) == []
    assert objects.read(deployment.state, "sweep.json") is None


def test_a_scheduler_that_refuses_is_one_line(deployment: DoctorDeployment) -> None:
    deployment.apis.refuse("cloudscheduler.googleapis.com", 403, "The caller may not do that.")
    done = run("reconcile", "--project", NAMES.project)
    assert done.exit_code == ExitCode.ERROR
    assert "HTTP 403 The caller may not do that." in done.output


@pytest.mark.usefixtures("no_ambient_credentials")
def test_a_reconciler_without_a_project_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert run("reconcile", "--bucket", "some-state").exit_code == ExitCode.USAGE


def test_benchmarks_are_named() -> None:
    assert benchmark_names() == list(BENCHMARKS)
    assert json.loads(run("bench", "joins", "--dry-run", "--json").stdout) == {"benchmarks": ["joins"]}
    assert run("bench", "--dry-run").stdout.split() == list(BENCHMARKS)
    unknown = run("bench", "nonsense")
    assert unknown.exit_code == ExitCode.USAGE
    assert "joins" in unknown.output
