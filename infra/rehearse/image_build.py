"""The steps of infra/docker/cloudbuild.yaml in their order, with a `docker` that only writes down what it is told."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.plan import BUILD_FILE
from infra.terraform_offline.terraform import ROOT

_DOCKER = """#!/bin/sh
echo "docker $*" >> {folder}/called
case "$*" in
"manifest inspect "*) grep -qxF "$3" {folder}/there ;;
"inspect "*) echo "$4@sha256:0123" ;;
esac
"""
_SUBSTITUTION = re.compile(r"(?<!\$)\$\{?([A-Z_][A-Z0-9_]*)\}?")
_STEP_SECONDS = 60.0


class BuildError(Exception):
    """A step failed, or the build was called with what its file does not declare."""


def docker_commands(given: Mapping[str, str], there: Collection[str] = ()) -> list[str]:
    """Docker's command lines of a build with these substitutions, where the images `there` exist. Raises BuildError."""
    build: dict[str, Any] = yaml.safe_load((ROOT / BUILD_FILE).read_text())
    declared: dict[str, str] = build["substitutions"]
    if unknown := given.keys() - declared.keys() - {"PROJECT_ID"}:
        raise BuildError(f"{BUILD_FILE} declares no {', '.join(sorted(unknown))}.")
    with tempfile.TemporaryDirectory(prefix="build-") as name:
        folder = Path(name)
        (folder / "there").write_text("".join(f"{image}\n" for image in there))
        (folder / "called").touch()
        docker = folder / "docker"
        docker.write_text(_DOCKER.format(folder=folder))
        docker.chmod(0o755)
        for step in build["steps"]:
            arguments = [_filled(argument, {**declared, **given}).replace("$$", "$") for argument in step["args"]]
            done = subprocess.run(
                [step.get("entrypoint", "docker"), *arguments],
                cwd=folder, env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True,
                timeout=_STEP_SECONDS,
            )  # fmt: skip
            if done.returncode != 0:
                raise BuildError(f"Step {step['id']} ended with {done.returncode}: {done.stdout}{done.stderr}".strip())
        return (folder / "called").read_text().splitlines()


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Substitutions put in, those inside of others included, as Cloud Build does with dynamicSubstitutions."""
    while (filled := _SUBSTITUTION.sub(lambda found: values.get(found[1], ""), text)) != text:
        text = filled
    return text
