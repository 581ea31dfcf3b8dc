"""The steps of a deployment: their order, what they name, what is left out, and what never stands in them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra.deploy import plan
from infra.deploy.options import OptionError, Options, Target
from infra.deploy.steps import Step
from infra.doctor.commands import built
from infra.doctor.names import Names
from infra.terraform_offline.terraform import ROOT
from tests.support.waiting import PATIENCE

TARGET = Target(Names("my-project", "europe-west4"))
NEW = Options(TARGET, "abc123")
OLDER = Options(TARGET, "v1", builds=False)


def titles(steps: tuple[Step, ...]) -> list[str]:
    return [step.title for step in steps]


def step(steps: tuple[Step, ...], title: str) -> Step:
    [found] = [one for one in steps if one.title == title]
    return found


def test_what_jobs_and_functions_are_made_of_is_there_before_they_are() -> None:
    order = titles(plan.deployment(NEW))
    wanted = [
        "Enable the first APIs",
        "Create the bucket of Terraform's state",
        "Attach Terraform to its state",
        "Look at the GPU quota",
        "Create registry and buckets",
        "Build the images",
        "Pack the function",
        "Upload the function",
        "Apply everything",
        "Transcribe a recording",
    ]
    assert [title for title in order if title in wanted] == wanted


def test_an_older_release_is_applied_without_a_build_and_must_be_there() -> None:
    steps = plan.deployment(OLDER)
    assert not {"Create registry and buckets", "Build the images", "Upload the function"} & set(titles(steps))
    assert "-var=release=v1" in step(steps, "Apply everything").command
    checked = [command[-2] for command in built(TARGET.names, "v1")]
    images = "europe-west4-docker.pkg.dev/my-project/dropscribe"
    assert {f"{images}/gpu:v1", f"{images}/cpu:v1"} <= set(checked)
    assert "gs://my-project-dropscribe-source/function-v1.zip" in checked


def test_a_release_is_built_and_uploaded_once_and_never_over_another() -> None:
    steps = plan.deployment(NEW)
    images = "europe-west4-docker.pkg.dev/my-project/dropscribe"
    looked_for = [probe[-2] for probe in step(steps, "Build the images").done_if]
    assert looked_for == [f"{images}/gpu:abc123", f"{images}/cpu:abc123"]
    upload = step(steps, "Upload the function")
    assert "--if-generation-match=0" in upload.command
    assert upload.done_if == step(steps, "Pack the function").done_if
    assert [probe[-2] for probe in upload.done_if] == ["gs://my-project-dropscribe-source/function-abc123.zip"]


def test_the_build_is_told_what_its_file_asks_for() -> None:
    command = step(plan.deployment(NEW), "Build the images").command
    [given] = [word.partition("=")[2] for word in command if word.startswith("--substitutions=")]
    assert given == "_NAME=dropscribe,_REGION=europe-west4,_RELEASE=abc123"
    file = yaml.safe_load((ROOT / plan.BUILD_FILE).read_text())
    assert {pair.partition("=")[0] for pair in given.split(",")} <= file["substitutions"].keys()
    address = file["substitutions"]["_IMAGES"]
    for name, value in {"PROJECT_ID": "my-project", **dict(pair.split("=") for pair in given.split(","))}.items():
        address = address.replace(f"${{{name}}}", value)
    assert address == TARGET.names.registry


def test_the_release_before_is_the_build_cache() -> None:
    command = step(plan.deployment(replace(NEW, cached_release="v0")), "Build the images").command
    assert "_CACHE_RELEASE=v0" in command[-1].split(",")
    assert "_CACHE_RELEASE" not in " ".join(step(plan.deployment(NEW), "Build the images").command)


def test_no_command_of_gcloud_relies_on_the_project_that_its_configuration_names() -> None:
    steps = (*plan.deployment(replace(NEW, with_deepgram_key=True)), *plan.removal(TARGET))
    commands = [command for one in steps for command in (one.command, *one.done_if)]
    gcloud = [command for command in (*commands, *built(TARGET.names, "v1")) if command[0] == "gcloud"]
    assert len(gcloud) > 8
    assert [command for command in gcloud if "--project=my-project" not in command] == []


def test_terraform_asks_unless_it_was_told_not_to() -> None:
    asked = [one for one in plan.deployment(NEW) if "apply" in one.command]
    applied = [one for one in plan.deployment(Options(TARGET, "abc123", approved=True)) if "apply" in one.command]
    assert len(asked) == len(applied) == 2
    assert not [one for one in asked if "-auto-approve" in one.command]
    assert all("-auto-approve" in one.command for one in applied)


def test_the_deepgram_key_goes_in_before_the_functions_and_through_standard_input_only() -> None:
    steps = plan.deployment(Options(TARGET, "abc123", with_deepgram_key=True))
    key = step(steps, "Add the Deepgram key")
    order = titles(steps)
    assert order.index("Create registry and buckets") < order.index(key.title) < order.index("Apply everything")
    assert key.secret == "DEEPGRAM_API_KEY"
    assert key.command[-1] == "--data-file=-"
    assert not [one for one in steps if one is not key and one.secret]
    assert "Add the Deepgram key" not in titles(plan.deployment(NEW))


def test_a_key_for_callbacks_is_made_once_and_before_the_functions(tmp_path: Path) -> None:
    file = tmp_path / "a.tfvars"
    file.write_text("deepgram = { enabled = true, callbacks = true }\n")
    steps = plan.deployment(Options(Target(TARGET.names, file), "abc123"))
    key = step(steps, "Add a key for callbacks")
    order = titles(steps)
    assert order.index("Create registry and buckets") < order.index(key.title) < order.index("Apply everything")
    assert key.command[:5] == ("gcloud", "secrets", "versions", "add", "dropscribe-callback-key")
    assert (key.secret, key.command[-1]) == ("DEEPGRAM_CALLBACK_KEY", "--data-file=-")
    (there,) = key.done_if
    assert there[:5] == ("gcloud", "secrets", "versions", "describe", "latest")
    # Where the images are there and the secret is not, it is still made.
    assert any("dropscribe-callback-key" in one for one in step(steps, "Create registry and buckets").done_if)
    assert key.title not in titles(plan.deployment(NEW))


def test_api_keys_are_looked_for_before_the_functions(tmp_path: Path) -> None:
    file = tmp_path / "a.tfvars"
    file.write_text("api = { enabled = true, keys = true }\n")
    steps = plan.deployment(Options(Target(TARGET.names, file), "abc123"))
    looked = step(steps, plan.API_KEYS_STEP)
    order = titles(steps)
    assert order.index("Create registry and buckets") < order.index(looked.title) < order.index("Apply everything")
    assert "--secret=dropscribe-api-keys" in looked.command
    # Where the images are there and the secret is not, it is still made.
    assert any("dropscribe-api-keys" in one for one in step(steps, "Create registry and buckets").done_if)
    assert looked.title not in titles(plan.deployment(NEW))


def test_what_is_given_by_name_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "production.tfvars"
    file.touch()
    arguments = Target(Names("my-project", "europe-west4", "calls", "calls", "acme-calls"), file).arguments("v1")
    assert arguments[0] == f"-var-file={file}"
    assert arguments[1:] == (
        "-var=project=my-project",
        "-var=region=europe-west4",
        "-var=name=calls",
        "-var=bucket_prefix=acme-calls",
        "-var=topic_prefix=calls",
        "-var=release=v1",
    )


def test_two_deployments_of_a_project_share_neither_state_nor_folder_nor_images() -> None:
    one, other = Target(Names("my-project", "europe-west4")), Target(Names("my-project", "europe-west4", "calls"))
    assert one.state_bucket != other.state_bucket
    assert one.folder != other.folder
    assert one.names.registry != other.names.registry


def test_protection_is_lifted_from_what_is_there_before_everything_is_deleted() -> None:
    steps = plan.removal(TARGET)
    assert titles(steps)[-2:] == ["Lift the deletion protection", "Delete everything"]
    for one in steps[-2:]:
        assert one.command[-1] == "-var=deletion_protection=false"
    assert not [one for one in steps if "gcloud" in one.command]


FILES = {
    "absent.tfvars": "monthly_budget_usd = 5\n",
    "false.tfvars": "results_schema = false # it did not fit\n",
    "true.tfvars": "results_schema=true\n",
    "commented.tfvars": '# results_schema = false\nalert_emails = ["a#b@example.org"] // x\n',
    "nested.tfvars": "labels = {\n  results_schema = false\n}\n",
    "false.tfvars.json": '{"results_schema": false}',
}


@pytest.mark.parametrize("name", FILES)
def test_an_outcome_is_shown_to_pubsub_before_anything_is_made_unless_no_schema_is_wanted(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    file.write_text(FILES[name])
    order = titles(plan.deployment(Options(Target(TARGET.names, file), "abc123")))
    asks = "Show Pub/Sub an outcome and its schema" in order
    assert asks is not name.startswith("false")
    if asks:
        assert order.index("Show Pub/Sub an outcome and its schema") < order.index("Create registry and buckets")


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("gpu_job = { enabled = false }", False),
        ('gpu_job = {\n  cpu = 4, "enabled": true,\n}\n', True),
        ("gpu_job = {\n  # enabled = false\n  cpu = 4\n}", None),
        ("cpu_job = { enabled = false }", None),
        ('labels = { note = "gpu_job = { enabled = false }" }\n', None),
        ("gpu_job = var.other", None),
        ("", None),
    ],
)
def test_a_switch_within_an_object_is_found(tmp_path: Path, text: str, flag: bool | None) -> None:
    file = tmp_path / "a.tfvars"
    file.write_text(text)
    assert Target(TARGET.names, file).given.flag("gpu_job", "enabled") is flag


def test_a_file_that_is_not_there_is_said_before_anything_runs() -> None:
    with pytest.raises(OptionError, match=r"there is no file no/such\.tfvars"):
        Target(Names("my-project", "europe-west4"), Path("no/such.tfvars"))


def test_a_release_that_is_no_tag_is_refused() -> None:
    with pytest.raises(OptionError, match="image tag"):
        Options(TARGET, "feature/x")


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`make` with this environment's interpreter, on a machine that has neither gcloud nor terraform."""
    interpreter = f"BIN={Path(sys.executable).parent}"
    return subprocess.run(
        ["/usr/bin/env", "make", "--no-print-directory", "--old-file=.venv/.local", interpreter, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def test_a_dry_run_prints_the_commands_and_no_key() -> None:
    made = make("deploy", "PROJECT=my-project", "REGION=us-central1", "DRY_RUN=1", DEEPGRAM_API_KEY="s3cret")
    assert made.returncode == 0, made.stderr
    commands = [line for line in made.stdout.splitlines() if line and not line.startswith("#")]
    assert any(
        line.startswith("gcloud beta builds submit . --config=infra/docker/cloudbuild.yaml") for line in commands
    )
    assert any(line.startswith("terraform") and " apply -var=" in line for line in commands)
    assert "gcloud secrets versions add dropscribe-deepgram-api-key" in made.stdout
    assert "s3cret" not in made.stdout + made.stderr
    assert "# First, these are checked: credentials, Terraform, gcloud, project, billing" in made.stdout
    assert not (ROOT / "build/deploy/my-project").exists()


def test_a_dry_run_of_plan_compares_with_the_release_that_is_given() -> None:
    made = make("plan", "PROJECT=my-project", "REGION=us-central1", "RELEASE=v1", "DRY_RUN=1")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].startswith(
        "terraform -chdir=build/deploy/my-project/dropscribe/terraform plan "
    )
    assert made.stdout.splitlines()[-1].endswith(" -var=release=v1")
    assert " apply " not in made.stdout


def test_a_dry_run_of_destroy_asks_nobody() -> None:
    made = make("destroy", "PROJECT=my-project", "REGION=us-central1", "DRY_RUN=1")
    assert made.returncode == 0, made.stderr
    assert "destroy -auto-approve" in made.stdout


def test_a_zone_is_no_region() -> None:
    made = make("deploy", "PROJECT=my-project", "REGION=us-central1-a", "DRY_RUN=1")
    assert "'us-central1-a' cannot be a region: it has to match" in made.stderr


def test_without_a_project_it_says_how_it_is_called() -> None:
    made = make("deploy", "REGION=us-central1")
    assert made.returncode != 0
    assert "make deploy PROJECT=" in made.stdout + made.stderr


def test_where_deepgram_is_wanted_without_a_key_one_must_be_there_before_anything_is_built(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.tfvars"
    file.write_text("deepgram = { enabled = true }\n")
    wants = Options(Target(TARGET.names, file), "abc123")
    order = titles(plan.deployment(wants))
    assert order.index("Look for the Deepgram key") < order.index("Create registry and buckets")
    for without in (NEW, replace(wants, with_deepgram_key=True)):
        assert "Look for the Deepgram key" not in titles(plan.deployment(without))
