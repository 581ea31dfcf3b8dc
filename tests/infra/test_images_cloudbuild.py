"""The Cloud Build file: what it uses it declares, what it pushes it has checked, and it never replaces a release."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from infra.rehearse.image_build import BuildError, docker_commands
from tests.support.dockerfile_rules import DOCKERFILES, FOLDER, ROOT, parse

TEXT = (FOLDER / "cloudbuild.yaml").read_text()
BUILD: dict[str, Any] = yaml.safe_load(TEXT)
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in BUILD["steps"]}

GIVEN = {"PROJECT_ID"}
"""Substitutions that Cloud Build makes itself."""
FIELDS = {"substitutions", "steps", "timeout", "options", "serviceAccount", "tags"}
STEP_FIELDS = {"id", "name", "waitFor", "env", "entrypoint", "args"}
OPTIONS = {"machineType", "diskSizeGb", "dynamicSubstitutions", "substitutionOption", "logging"}
"""Of the Build resource of Cloud Build's API, those that are used."""


def before(step: str) -> set[str]:
    """Every step that has ended when this one begins."""
    named = set(STEPS[step].get("waitFor", []))
    return named | {earlier for each in named for earlier in before(each)}


def test_it_is_a_build_as_the_api_knows_it() -> None:
    assert set(BUILD) == FIELDS
    assert set(BUILD["options"]) == OPTIONS
    assert len(STEPS) == len(BUILD["steps"])
    for position, step in enumerate(BUILD["steps"]):
        assert set(step) <= STEP_FIELDS
        assert all(isinstance(argument, str) for argument in step["args"])
        assert set(step.get("waitFor", [])) <= set(list(STEPS)[:position])
    assert re.fullmatch(r"\d+s", BUILD["timeout"])


def test_every_substitution_used_is_declared_and_every_one_declared_is_used() -> None:
    # $$ is a dollar that the shell sees.
    used = set(re.findall(r"(?<!\$)\$\{?([A-Z_][A-Z0-9_]*)", TEXT))
    assert used - GIVEN == set(BUILD["substitutions"])
    assert all(isinstance(value, str) for value in BUILD["substitutions"].values())


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_an_image_is_checked_as_it_will_run_before_anything_is_pushed(image: str) -> None:
    check = STEPS[f"check-{image}"]
    assert before(f"check-{image}") >= {f"build-{image}"}
    assert before("push") >= {f"check-{image}"}
    assert {"--read-only", "--network=none", f"${{_IMAGES}}/{image}:${{_RELEASE}}"} <= set(check["args"])
    assert check["args"][-3:] == ["-m", "gpu_job.health", "--load"]


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_a_build_gives_the_dockerfile_arguments_it_knows(image: str) -> None:
    step = STEPS[f"build-{image}"]
    given = {argument.split("=")[1] for argument in step["args"] if argument.startswith("--build-arg=")}
    known = set(parse((FOLDER / f"Dockerfile.{image}").read_text()).arguments)
    assert f"Dockerfile.{image}" in DOCKERFILES
    assert f"--file=infra/docker/Dockerfile.{image}" in step["args"]
    assert given - {"BUILDKIT_INLINE_CACHE"} == known - {"PYTHON"}
    assert '--build-arg=PYTHON="$$(cat base.image)"' in step["args"][1]
    assert BUILD["substitutions"]["_PYTHON"] == parse((FOLDER / f"Dockerfile.{image}").read_text()).arguments["PYTHON"]
    assert step["env"] == ["DOCKER_BUILDKIT=1"]


@pytest.mark.parametrize(
    ("there", "made"),
    [((), ("cpu", "gpu")), (("cpu",), ("gpu",)), (("gpu",), ("cpu",)), (("cpu", "gpu"), ())],
    ids=["nothing there", "cpu there", "gpu there", "both there"],
)
def test_an_image_that_exists_is_neither_built_nor_pushed_again_and_the_build_ends_well(
    there: tuple[str, ...], made: tuple[str, ...]
) -> None:
    given = {"_IMAGES": "registry", "_RELEASE": "v2", "_CACHE_RELEASE": "v1", "_PYTHON": "python:3.11"}
    called = docker_commands(given, [f"registry/{image}:v2" for image in there])
    built = [line for line in called if line.startswith("docker build ")]
    assert all("--build-arg=PYTHON=python:3.11@sha256:0123" in line for line in built)
    for verb in ("build", "run", "push"):
        assert [image for image in ("cpu", "gpu") for line in called if ran(line, verb, image)] == list(made)


def ran(line: str, verb: str, image: str) -> bool:
    return line.startswith(f"docker {verb} ") and f"registry/{image}:v2" in line


@pytest.mark.parametrize("given", [{"_RELEASE": ""}, {"_RELEASE": "v2", "_NO_SUCH": "1"}])
def test_a_build_without_a_release_or_with_what_nobody_declares_ends_at_once(given: dict[str, str]) -> None:
    with pytest.raises(BuildError, match=r"_RELEASE is needed|_NO_SUCH"):
        docker_commands(given)


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_the_layers_of_the_release_before_are_used_again(image: str) -> None:
    build = STEPS[f"build-{image}"]["args"]
    assert f"--cache-from=${{_IMAGES}}/{image}:${{_CACHE_RELEASE}}" in build
    assert "--build-arg=BUILDKIT_INLINE_CACHE=1" in build


def test_the_account_and_the_registry_are_terraforms() -> None:
    accounts = (ROOT / "terraform" / "iam.tf").read_text()
    registry = (ROOT / "terraform" / "registry.tf").read_text()
    assert re.search(r"^\s+build\s+= ", accounts, re.MULTILINE)
    assert 'account_id   = "${var.name}-${each.key}"' in accounts
    assert BUILD["serviceAccount"].endswith("/${_NAME}-build@${PROJECT_ID}.iam.gserviceaccount.com")
    assert '"${var.region}-docker.pkg.dev/${var.project}/' in registry
    assert BUILD["substitutions"]["_IMAGES"] == "${_REGION}-docker.pkg.dev/${PROJECT_ID}/${_NAME}"
