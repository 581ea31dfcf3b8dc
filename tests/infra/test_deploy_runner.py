"""Order, repetition and failure of a deployment, with stand-ins on the PATH that only write down what they were told.

They are no Google Cloud and no Terraform: nothing here says that those would accept the commands.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from infra.deploy.options import Options, Place
from infra.deploy.plan import DEEPGRAM_KEY, deployment, removal
from infra.deploy.preflight import before_deployment
from infra.deploy.runner import NOT_FOUND, Runner
from infra.deploy.steps import Check, Step
from infra.doctor.names import Names
from infra.terraform_offline.terraform import ROOT
from tests.support.waiting import PATIENCE

OPTIONS = Options(Place(Names("my-project", "us-central1")), "abc123", approved=True, with_deepgram_key=True)

STAND_IN = """#!{python} -IS
import json, os, pathlib, sys
words, folder = sys.argv[1:], pathlib.Path({folder!r})
read = sys.stdin.read() if "--data-file=-" in words else ""
with (folder / "told.jsonl").open("a") as told:
    told.write(json.dumps([{name!r}, words, read]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for part, (status, output) in answers.items():
    if part in " ".join([{name!r}, *words]):
        print(output)
        sys.exit(status)
"""


@dataclass(frozen=True)
class StandIns:
    """Programs called gcloud, terraform and python that answer as they are told, and 0 where nobody told them."""

    folder: Path

    def answer(self, **answers: tuple[int, str]) -> None:
        """`answer(**{"buckets describe": (1, "")})`: exit status and output, by a part of the command."""
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def told(self) -> list[str]:
        """The commands, the oldest first."""
        return [" ".join([name, *words]) for name, words, _ in self._lines()]

    def read(self) -> list[str]:
        """What was read from a standard input."""
        return [text for _, _, text in self._lines() if text]

    def _lines(self) -> list[tuple[str, list[str], str]]:
        path = self.folder / "told.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """First on the PATH, and in the place of the steps' interpreter."""
    for name in ("gcloud", "terraform", "python"):
        path = tmp_path / name
        path.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path), name=name))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = StandIns(tmp_path)
    made.answer()
    return made


@pytest.fixture
def steps(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> tuple[Step, ...]:
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


def acted(stand_ins: StandIns) -> list[str]:
    """Commands that are no probes."""
    return [line for line in stand_ins.told() if " describe " not in line]


def test_a_first_deployment_runs_every_step_in_order(stand_ins: StandIns, steps: tuple[Step, ...], run: Run) -> None:
    stand_ins.answer(**NOTHING_THERE)
    status, said = run(steps)
    assert status == 0
    assert [line.split()[1:] for line in acted(stand_ins)] == [list(step.command[1:]) for step in steps]
    assert "Done already" not in said


def test_what_is_there_is_not_made_again(stand_ins: StandIns, steps: tuple[Step, ...], run: Run) -> None:
    assert run(steps)[0] == 0
    done = "\n".join(acted(stand_ins))
    assert "builds submit" not in done
    assert "buckets create" not in done
    assert "storage cp" not in done
    assert done.count(" apply ") == 1


def test_the_first_failure_ends_it_and_the_next_run_goes_on_from_there(
    stand_ins: StandIns, steps: tuple[Step, ...], run: Run
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


def test_the_doctors_complaints_are_told_and_stop_nothing(
    stand_ins: StandIns, steps: tuple[Step, ...], run: Run
) -> None:
    stand_ins.answer(doctor=(1, "GPU quota: 0"))
    status, said = run(steps)
    assert status == 0
    assert "gpu_enabled = false" in said
    assert "infra.deploy.smoke" in "\n".join(stand_ins.told())


def test_the_key_is_read_from_standard_input_and_stands_nowhere_else(
    stand_ins: StandIns, steps: tuple[Step, ...], run: Run
) -> None:
    _, said = run(steps)
    assert stand_ins.read() == ["s3cret"]
    assert "s3cret" not in said + "".join(stand_ins.told())


def test_checks_that_fail_are_all_told_with_their_fix_and_no_token_is_shown(
    stand_ins: StandIns, tmp_path: Path
) -> None:
    stand_ins.answer(**{
        "auth print-access-token": (0, "ya29.token"),
        "terraform version": (0, "Terraform v1.11.4"),
        "gcloud version": (0, "Google Cloud SDK 528.0.0"),
        "projects describe": (0, "DELETE_REQUESTED"),
        "billing projects": (0, "False"),
    })  # fmt: skip
    said = io.StringIO()
    assert not Runner(tmp_path, Console(file=said, width=200), {}).check(before_deployment(OPTIONS))
    lines = said.getvalue().splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == [
        "FAIL  Project my-project can be seen",
        "FAIL  The project is billed",
    ]
    assert any("gcloud billing projects link my-project" in line for line in lines)
    assert "ya29" not in said.getvalue()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = io.StringIO()
    runner = Runner(tmp_path, Console(file=said, width=200), {})
    assert not runner.check([Check("It is there", ("no-such-program",), "Install it.")])
    assert "no-such-program is not on the PATH." in said.getvalue()
    assert runner.run([Step("Run it", "", ("no-such-program",))]) == NOT_FOUND


def called(verb: str, *options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m infra.deploy`, with nobody at a terminal."""
    where = ("--project", "my-project", "--region", "us-central1")
    command = [sys.executable, "-m", "infra.deploy", verb, *where, *options]
    return subprocess.run(command, cwd=ROOT, input=answer, capture_output=True, text=True, timeout=PATIENCE)


def test_nothing_is_deleted_before_the_projects_name_was_typed(stand_ins: StandIns) -> None:
    refused = called("destroy", answer="yes\n")
    assert refused.returncode != 0
    assert "uploads, transcripts" in refused.stdout
    assert "nothing was deleted" in refused.stderr
    assert stand_ins.told() == []


def test_nothing_is_deployed_where_nobody_can_approve_it(stand_ins: StandIns) -> None:
    refused = called("deploy", "--release=v1")
    assert refused.returncode != 0
    assert "YES=1" in refused.stderr
    assert stand_ins.told() == []


def test_nothing_is_made_where_a_check_fails(stand_ins: StandIns) -> None:
    refused = called("deploy", "--release=v1", "--yes")
    assert refused.returncode == 1
    assert "FAIL  Project my-project can be seen" in refused.stdout
    assert not [line for line in stand_ins.told() if " create " in line or " apply " in line or " enable " in line]


def test_a_removal_ends_with_a_destroy(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(sys, "executable", str(stand_ins.folder / "python"))
    assert run(removal(OPTIONS.place))[0] == 0
    assert " destroy -auto-approve " in acted(stand_ins)[-1]
