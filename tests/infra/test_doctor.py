"""`dropscribe doctor` as a whole: a healthy deployment, none yet, no credentials, and its two forms of output."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable

import pytest
import requests
from google.oauth2.credentials import Credentials
from typer.testing import CliRunner

from infra.cli.main import app
from infra.doctor.checks import CHECKS, Check, Stage, run_checks
from infra.doctor.checks_project import L4_REGIONS_READ_ON, L4_REGIONS_SOURCE
from infra.doctor.context import Context
from infra.doctor.findings import Finding, Status, ok
from infra.doctor.google import Google
from infra.doctor.settings import DoctorSettings
from shared.clock import now
from tests.support.doctor_deployment import KEY, NAMES, DoctorDeployment, fixes, not_ok
from tests.support.waiting import PATIENCE


def doctor(*options: str) -> tuple[int, str]:
    """The command's exit status and output."""
    result = CliRunner().invoke(app, ["doctor", "--project", NAMES.project, *options])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def test_a_healthy_deployment_is_ok_in_every_line(deployment: DoctorDeployment) -> None:
    status, output = doctor("--json")
    report = json.loads(output)
    assert status == 0
    assert [line for line in report["findings"] if line["status"] != "ok"] == []
    assert report["counts"] == {"ok": len(report["findings"]), "warn": 0, "fail": 0, "unknown": 0}
    assert (report["deployed"], report["project"], report["region"]) == (True, NAMES.project, NAMES.region)
    assert not any(line["fix"] for line in report["findings"])
    groups = list(dict.fromkeys(line["group"] for line in report["findings"]))
    assert groups == ["access", *dict.fromkeys(check.group for check in CHECKS if check.stage is not Stage.DEPLOY)]
    assert "dropscribe@small.iam.gserviceaccount.com" in report["findings"][0]["says"]


def test_what_a_person_reads_has_the_fix_below_the_line(deployment: DoctorDeployment) -> None:
    deployment.google.enabled.discard("run.googleapis.com")
    status, output = doctor()
    lines = output.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("fail"))
    assert status == 1
    assert lines[place].split(maxsplit=1)[1] == "APIs: Not enabled: run."
    assert lines[place + 1].strip() == f"-> gcloud services enable run.googleapis.com --project={NAMES.project}"
    assert "1 fail" in lines[-1]


def test_before_a_deployment_what_is_missing_is_one_line(empty_project: DoctorDeployment) -> None:
    report = empty_project.report()
    lines = {finding.subject: finding for finding in report.findings()}
    assert not report.deployed
    assert set(lines) == {
        "credentials", "deployment", "project", "billing", "APIs", "region", "GPU quota", "CPU and memory quota",
        "price book", "GPU job's price", "Deepgram key",
    }  # fmt: skip
    assert not_ok(report) == {"deployment": {"warn"}}
    assert lines["deployment"].fix == f"make deploy PROJECT={NAMES.project} REGION={NAMES.region}"


def test_buckets_of_a_deploy_half_begun_are_no_deployment(empty_project: DoctorDeployment) -> None:
    empty_project.google.resources["storage.googleapis.com/storage/v1/b/a-project-dropscribe-uploads"] = {
        "name": "uploads"
    }
    assert not empty_project.report().deployed


def test_before_a_deployment_apis_may_still_be_off(empty_project: DoctorDeployment) -> None:
    empty_project.google.enabled.clear()
    empty_project.apis.refuse("cloudfunctions.googleapis.com", 403, "it has not been used", "SERVICE_DISABLED")
    empty_project.apis.refuse("run.googleapis.com", 403, "it has not been used", "SERVICE_DISABLED")
    assert not_ok(empty_project.report()) == {"deployment": {"warn"}, "APIs": {"warn"}}


@pytest.mark.parametrize(("key", "lines"), [(KEY, {}), ("wrong", {"Deepgram key": {"fail"}})])
def test_before_a_deployment_the_environments_key_is_tried(
    empty_project: DoctorDeployment, key: str, lines: dict[str, set[str]]
) -> None:
    empty_project.google.deepgram_keys.add(KEY)
    empty_project.setenv("DEEPGRAM_API_KEY", key)
    assert not_ok(empty_project.report()) == {"deployment": {"warn"}, **lines}


def test_asked_for_either_report_it_is_given(deployment: DoctorDeployment, empty_project: DoctorDeployment) -> None:
    """`empty_project` was started last: its servers are asked."""
    assert doctor("--before-deploy")[0] == 0
    status, output = doctor("--after-deploy", "--json")
    missing = [line for line in json.loads(output)["findings"] if line["status"] == "fail"]
    assert status == 1
    assert {"functions", "scheduler", "gpu job", "costs table"} <= {line["subject"] for line in missing}


def test_without_credentials_only_what_needs_none_is_looked_at(deployment: DoctorDeployment) -> None:
    deployment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(deployment.folder / "nothing.json"))
    report = deployment.report()
    lines = [(finding.subject, finding.status.value) for finding in report.findings()]
    assert lines == [
        ("credentials", "fail"), ("deployment", "unknown"), ("project", "ok"), ("billing", "ok"), ("region", "ok"),
        ("price book", "ok"), ("GPU job's price", "ok"),
    ]  # fmt: skip
    assert "application-default login" in fixes(report, "credentials")
    assert deployment.apis.requests == []


@pytest.mark.parametrize("body", [b'{"error": "invalid_grant", "error_description": "no"}', b"<html>", b"[]"])
def test_credentials_that_are_refused_are_said_so(deployment: DoctorDeployment, body: bytes) -> None:
    deployment.apis.garble("oauth2.googleapis.com/token", body)
    assert not_ok(deployment.report()) == {"credentials": {"fail"}, "deployment": {"unknown"}}


@pytest.mark.parametrize(("quota_project", "status"), [(None, "warn"), ("billed", "warn"), (NAMES.project, "ok")])
def test_a_person_is_named_and_should_have_a_quota_project(
    deployment: DoctorDeployment, monkeypatch: pytest.MonkeyPatch, quota_project: str | None, status: str
) -> None:
    """Of a file google-auth takes no token address for people, so the credentials are made here."""
    person = Credentials(
        None,
        refresh_token="r",
        client_id="c",
        client_secret="s",
        token_uri=f"{deployment.apis.url}/oauth2.googleapis.com/token",
        quota_project_id=quota_project,
    )
    monkeypatch.setattr("google.auth.default", lambda scopes: (person, NAMES.project))
    deployment.google.resources["www.googleapis.com/oauth2/v2/userinfo"] = {"email": "ann@example.org"}
    report = deployment.report()
    line = next(report.findings())
    assert (line.subject, line.status.value) == ("credentials", status)
    assert line.says.startswith("ann@example.org; ")
    assert (quota_project or "no quota project") in line.says
    assert f"set-quota-project {NAMES.project}" in line.fix or status == "ok"
    assert not report.failed


def test_questions_are_counted_against_the_project_that_they_are_about(deployment: DoctorDeployment) -> None:
    deployment.google.foreign_projects.add("elsewhere")
    deployment.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "elsewhere")
    assert not_ok(deployment.report()) == {"credentials": {"warn"}}


def test_what_cannot_be_reached_is_unknown(deployment: DoctorDeployment) -> None:
    deployment.setenv("GOOGLE_APIS_ENDPOINT", "http://127.0.0.1:9")
    deployment.setenv("DEEPGRAM_BASE_URL", "http://127.0.0.1:9")
    statuses = {status for lines in not_ok(deployment.report()).values() for status in lines}
    assert statuses == {"unknown"}


def test_nothing_is_asked_twice(deployment: DoctorDeployment) -> None:
    deployment.report()
    assert len(deployment.apis.requests) == len(set(deployment.apis.requests))


def test_a_check_that_hangs_or_breaks_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_TIMEOUT_SECONDS", "0.5")
    hung = threading.Event()

    def hangs(_: Context) -> Iterable[Finding]:
        hung.wait(PATIENCE)
        return ()

    def breaks(_: Context) -> Iterable[Finding]:
        yield ok("breaks", "so far")
        raise ZeroDivisionError("oh")

    def comes(_: Context) -> Iterable[Finding]:
        yield ok("comes", "at once")

    checks = [Check("a", "hangs", hangs), Check("b", "breaks", breaks), Check("a", "comes", comes)]
    context = Context(NAMES, DoctorSettings(), _never_called(), None, now(), deployed=True)  # type: ignore[arg-type] - unused
    sections = run_checks(context, checks)
    hung.set()
    assert [(section.group, [(one.subject, one.status) for one in section.findings]) for section in sections] == [
        ("a", [("hangs", Status.UNKNOWN), ("comes", Status.OK)]),
        ("b", [("breaks", Status.OK), ("breaks", Status.UNKNOWN)]),
    ]
    assert "ZeroDivisionError: oh" in sections[1].findings[1].says


def _never_called() -> Google:
    return Google(requests.Session(), NAMES.project, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        ("--region", "../us-central1"),
        ("--region", "us"),
        ("--name", "x"),
        ("--topic-prefix", "a/b"),
        ("--bucket-prefix", "A"),
        ("--project", "a'; rm -rf /"),
    ],
)
def test_what_terraform_would_refuse_is_refused(options: tuple[str, ...]) -> None:
    assert doctor(*options)[0] == 2


def test_the_gpu_jobs_price_is_shown_for_its_usual_shapes(empty_project: DoctorDeployment) -> None:
    (price,) = (one for one in empty_project.report().findings() if one.subject == "GPU job's price")
    assert "4 vCPU and 16 GiB: $0.000291/s, $1.05/h" in price.says
    assert "8 vCPU and 32 GiB: $0.000395/s, $1.42/h" in price.says


def test_a_region_in_doubt_comes_with_others_a_date_and_a_source(empty_project: DoctorDeployment) -> None:
    (region,) = (one for one in empty_project.report().findings() if one.subject == "region")
    assert "asia-southeast1, europe-west1, europe-west4, us-east4" in region.says
    assert f"{L4_REGIONS_READ_ON}" in region.says
    assert L4_REGIONS_SOURCE in region.says
