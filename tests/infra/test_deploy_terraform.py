"""What deploy and destroy ask of Terraform, held to Terraform itself and to the module; the provider is a stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deploy import workspace
from infra.deploy.options import Target
from infra.deploy.plan import FOUNDATION, NO_RELEASE
from infra.deploy.protection import PROTECTED_BY, protected
from infra.deploy.smoke import smoke_target
from infra.doctor.names import DEVICES, Names
from infra.terraform_offline.provider import schema_provider
from infra.terraform_offline.terraform import ROOT, SKIPPED, Workspace, find_terraform

TARGET = Target(Names("a-project", "us-central1"))


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the module that Terraform may run in."""
    binary = find_terraform()
    if binary is None:
        pytest.skip(SKIPPED)
    with schema_provider() as provider:
        yield Workspace(binary, tmp_path / "module", provider)


def configuration() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "terraform").glob("*.tf")))


def test_the_folder_that_is_deployed_from_is_a_valid_root_module(offline: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "deployed"
    module = workspace.module_of(folder)
    workspace.write(folder)
    (module / "old.tf").write_text("left by an older checkout")
    (module / "terraform.tfstate").touch()
    workspace.write(folder)

    assert not (module / "old.tf").exists()
    assert (module / "terraform.tfstate").exists()
    for command in (("fmt", "-check"), ("init", "-backend=false"), ("validate",)):
        done = offline.run(f"-chdir={module}", *command)
        assert done.ok, done.output


def test_every_target_and_variable_is_one_of_the_module() -> None:
    text = configuration()
    resources = {".".join(found) for found in re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE)}
    variables = set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))
    assert set(FOUNDATION) <= resources
    given = {argument.split("=")[1] for argument in TARGET.arguments("v1")}
    assert given | {"deletion_protection"} <= variables


def test_the_foundation_is_what_a_build_needs_and_neither_job_nor_function(offline: Workspace) -> None:
    made = {one["address"] for one in resources(applied(offline, *FOUNDATION)) if one["mode"] == "managed"}
    assert 'google_storage_bucket.this["source"]' in made
    assert "google_artifact_registry_repository.images" in made
    assert 'google_service_account.this["build"]' in made
    assert 'google_project_service.api["cloudbuild"]' in made
    assert not [
        address for address in made if "run_v2" in address or "functions2" in address or "pubsub_topic" in address
    ]


def test_names_are_those_that_the_module_gives(offline: Workspace) -> None:
    values = {one["address"]: one["values"] for one in resources(applied(offline))}
    bucket = values['google_storage_bucket.this["source"]']["name"]
    function = values['google_cloudfunctions2_function.this["on_upload"]']
    archive = function["build_config"][0]["source"][0]["storage_source"][0]["object"]
    assert f"gs://{bucket}/{archive}" == TARGET.names.archive_url("v1")
    jobs = [values[f"google_cloud_run_v2_job.{device}[0]"] for device in DEVICES]
    images = [job["template"][0]["template"][0]["containers"][0]["image"] for job in jobs]
    assert images == [f"{TARGET.names.registry}/{device}:v1" for device in DEVICES]


def test_the_doctor_asks_by_the_names_that_the_module_gives(offline: Workspace) -> None:
    values = {one["address"]: one["values"] for one in resources(applied(offline))}
    names = TARGET.names
    for purpose, key in (("upload", "on_upload"), ("reconcile", "reconcile")):
        assert values[f'google_cloudfunctions2_function.this["{key}"]']["name"] == names.function(purpose)
    for device in DEVICES:
        assert values[f"google_cloud_run_v2_job.{device}[0]"]["name"] == names.job(device)
    given = {(address.partition(".")[0], one["name"]) for address, one in values.items() if "name" in one}
    pubsub = (names.work_subscription, names.costs_subscription, *names.dead_letter_subscriptions)
    assert {("google_pubsub_subscription", name) for name in pubsub} <= given
    assert ("google_storage_bucket", names.bucket("state")) in given
    assert ("google_cloud_scheduler_job", f"{names.name}-reconcile") in given
    assert values["google_secret_manager_secret.deepgram"]["secret_id"] == names.secret


def test_the_smoke_test_finds_its_way_by_the_modules_outputs(offline: Workspace) -> None:
    found = smoke_target(applied(offline)["values"]["outputs"], "a-project")
    assert found.uploads == "a-project-dropscribe-uploads"
    assert found.state == "a-project-dropscribe-state"
    assert found.where_to_look[1].startswith(
        "gcloud run jobs executions list --job=dropscribe-gpu --region=us-central1"
    )


def test_protection_is_lifted_from_all_that_has_it_under_the_release_that_runs(offline: Workspace) -> None:
    state = applied(offline)
    found = protected(state)
    assert found.release == "v1"
    assert {address.partition("[")[0] for address in found.addresses} == {
        "google_bigquery_dataset.costs",
        "google_bigquery_table.outcomes",
        "google_secret_manager_secret.deepgram",
        "google_storage_bucket.this",
    }
    assert protected(applied(offline, deletion_protection="false")).addresses == ()


def test_what_is_half_made_has_no_release_and_an_empty_state_nothing_at_all(offline: Workspace) -> None:
    state = applied(offline)
    state["values"]["root_module"]["resources"] = [
        one for one in resources(state) if one["type"] == "google_storage_bucket"
    ]
    assert protected(state).release is None
    assert len(protected(state).addresses) == 4
    assert protected({"format_version": "1.0"}).addresses == ()


def test_a_release_that_adds_an_api_leaves_the_roles_of_googles_agents_alone(tmp_path: Path) -> None:
    """Applied by Terraform itself, through a provider that makes whatever it is asked for."""
    binary = find_terraform()
    if binary is None:
        pytest.skip(SKIPPED)
    variables = ("-var=project=a-project", "-var=release=v1")
    with schema_provider() as provider:
        there = Workspace(binary, tmp_path / "module", provider)
        assert there.run("init").ok
        assert "Apply complete!" in there.run("apply", "-auto-approve", *variables).output
        assert "No changes." in there.run("plan", *variables).output
        apis = there.module / "apis.tf"
        apis.write_text(apis.read_text().replace('"artifactregistry",', '"artifactregistry", "speech",'))
        assert "Plan: 1 to add, 0 to change, 0 to destroy." in there.run("plan", *variables).output


def test_whatever_keeps_a_resource_from_being_deleted_is_known() -> None:
    arguments = re.findall(r"^\s*(\w+)\s*=\s*!?var\.deletion_protection$", configuration(), re.MULTILINE)
    assert set(arguments) == set(PROTECTED_BY)
    assert re.search(r'can\(regex\("(.+?)", var.release', configuration())
    assert NO_RELEASE.isalpha()


def resources(state: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = state["values"]["root_module"]["resources"]
    return found


def applied(offline: Workspace, *targets: str, **variables: str) -> dict[str, Any]:
    """The state after an apply with mocked resources, as `terraform show -json` prints states."""
    lines = "\n".join(f"  {name} = {value}" for name, value in variables.items())
    (offline.module / "tests" / "deployed.tftest.hcl").write_text(
        'mock_provider "google" {}\n'
        f'variables {{\n  project = "a-project"\n  release = "v1"\n{lines}\n}}\n'
        'run "applied" {\n  command = apply\n'
        f"  plan_options {{\n    target = [{', '.join(targets)}]\n  }}\n}}\n"
    )
    offline.run("init", "-backend=false")
    events = offline.test_events("-filter=tests/deployed.tftest.hcl")
    [state] = [event["test_state"] for event in events if "test_state" in event]
    return {"values": {part: state[part] for part in ("outputs", "root_module")}}
