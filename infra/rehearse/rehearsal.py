"""A command of a deployment run to its end on a recorded project, and what is said of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from infra.deploy.options import Target
from infra.doctor.checks import CHECKS as CHECKS_MADE
from infra.emulators.service_account import inherited_environment, write_service_account
from infra.emulators.storage.server import StorageServer
from infra.rehearse.google_apis import GoogleApis
from infra.rehearse.programs import write_programs
from infra.rehearse.recorded_project import RecordedProject
from infra.rehearse.scenarios import CHECKS, Run
from infra.terraform_offline.provider import schema_provider
from infra.terraform_offline.terraform import ROOT, find_terraform

RUN_SECONDS = 600.0
_STEP = re.compile(r"^(\d+)/(\d+) (.+?)(?: ─+)?$")
_ANNOUNCED = re.compile(r" +\d+\. ")
_PASSED_OVER = re.compile(f"ok  |({'|'.join({check.group for check in CHECKS_MADE})}|access)$")
_TERRAFORM_SAYS = re.compile(
    r"\s*(Plan:|Apply complete|Destroy complete|No changes|Nothing is protected|Error|SKIPPED|"
    "FAILED|Run the same|Once more)"
)
_DEPLOY = """
import sys
from infra.deploy import plan
from infra.deploy.__main__ import main
sys.executable = sys.argv.pop(1)
plan.AGAIN_SECONDS = 0.0
main()
"""


@dataclass(frozen=True)
class RunResult:
    """A command that ended."""

    status: int
    reached: str
    """Title of the last step, or CHECKS."""
    left_out: tuple[str, ...]
    lines: tuple[str, ...]


class Rehearsal:
    """A recorded project with the servers and programs that answer for it."""

    def __init__(self, folder: Path, project: RecordedProject) -> None:
        self.project = project
        self._folder = folder
        self._stack = ExitStack()
        self._environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        project, folder = self.project, self._folder
        # Where another rehearsal was cut short.
        shutil.rmtree(ROOT / Target(project.names).folder.parent, ignore_errors=True)
        with ExitStack() as starting:
            starting.callback(shutil.rmtree, ROOT / Target(project.names).folder.parent, ignore_errors=True)
            apis = starting.enter_context(GoogleApis(project.google, project.gcloud))
            storage = starting.enter_context(StorageServer(folder / "objects"))
            terraform = starting.enter_context(schema_provider(project.applied))
            options = ClientOptions(api_endpoint=storage.url)
            client = Client(project.names.project, AnonymousCredentials(), client_options=options)
            project.new_bucket = client.create_bucket
            programs = folder / "programs"
            write_programs(programs, apis.url, find_terraform())
            key = folder / "key.json"
            write_service_account(key, project.names.project, token_uri=f"{apis.url}/oauth2.googleapis.com/token")
            self._environment = {
                **inherited_environment(),
                **terraform,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "GOOGLE_APPLICATION_CREDENTIALS": str(key),
                "GOOGLE_APIS_ENDPOINT": apis.url,
                "STORAGE_EMULATOR_HOST": storage.url,
                "DEEPGRAM_BASE_URL": f"{apis.url}/api.deepgram.com",
                # Nobody else is reached.
                "HTTPS_PROXY": "http://127.0.0.1:9",
                "https_proxy": "http://127.0.0.1:9",
                "CHECKPOINT_DISABLE": "1",
                "TF_CLI_ARGS": "-no-color",
                "COLUMNS": "200",
            }
            self._stack = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, run: Run) -> RunResult:
        """Run a command as make does."""
        names = self.project.names
        variables = self._folder / "a.tfvars"
        variables.write_text(run.variables)
        python = str(self._folder / "programs" / "python")
        options = [f"--project={names.project}", f"--region={names.region}", f"--vars={variables}"]
        if run.verb == "deploy":
            options += ["--yes", "--force"]
        if run.release is not None:
            options.append(f"--release={run.release}")
        default = self.project.default_project
        quota = {} if default is None else {"GOOGLE_CLOUD_QUOTA_PROJECT": default}
        ran = subprocess.run(
            [sys.executable, "-c", _DEPLOY, python, run.verb, *options],
            cwd=ROOT,
            env={**self._environment, **quota},
            input=f"{names.project}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_SECONDS,
        )
        text = ran.stdout.replace(python, "python").replace(f"{self._folder}/", "")
        lines = tuple(text.splitlines())
        steps = [found[3] for line in lines if (found := _STEP.match(line))]
        left_out = [
            found[3] for line, after in pairwise(lines) if (found := _STEP.match(line)) and after == "Done already."
        ]
        return RunResult(ran.returncode, steps[-1] if steps else CHECKS, tuple(left_out), lines)

    def strangers(self) -> Iterator[str]:
        """A line where gcloud was asked about another project."""
        if others := self.project.asked_of - {self.project.names.project}:
            yield f"gcloud was asked about {', '.join(sorted(others))}"


def faults_of(run: Run, ended: RunResult) -> Iterator[str]:
    """How the end differs from what it has to be."""
    if (ended.status == 0) is not (run.stops_at is None):
        yield f"it ended with {ended.status}"
    if run.stops_at is not None and ended.reached != run.stops_at:
        yield f"it stopped at {ended.reached!r}"
    for says in run.says:
        if not any(says in line for line in ended.lines):
            yield f"it did not say {says!r}"
    if ended.left_out != run.left_out:
        yield f"left out as done already: {', '.join(ended.left_out) or 'nothing'}"


def walk_through(ended: RunResult, *, with_list: bool) -> Iterator[str]:
    """What a person reads of it: steps, commands, what was found; of Terraform its sums and errors.

    `with_list`: with the list of steps at its beginning.
    """
    is_terraform = False
    for line, before in zip(ended.lines, ("", *ended.lines), strict=False):
        if _STEP.match(line):
            yield f"  {line.rstrip(' ─')}"
        elif _STEP.match(before) and line != "Done already.":
            is_terraform = line.startswith("terraform ") or "infra.deploy.protection" in line
            yield f"      $ {line}"
        elif is_terraform and not _TERRAFORM_SAYS.match(line):
            continue
        elif line.strip() and not _PASSED_OVER.match(line) and (with_list or not _ANNOUNCED.match(line)):
            yield f"      {line}"
