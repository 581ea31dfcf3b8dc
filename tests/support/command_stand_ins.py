"""Programs on the PATH that only write down what they are called with, and answer as they are told.

They are no Google Cloud and no Terraform: nothing here says that those would accept the commands.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """#!{python} -IS
import json, os, pathlib, sys
words, folder = sys.argv[1:], pathlib.Path({folder!r})
read = sys.stdin.read() if "--data-file=-" in words else ""
with (folder / "called.jsonl").open("a") as called:
    called.write(json.dumps([{name!r}, words, read]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
for part, (status, output) in answers.items():
    if part in " ".join([{name!r}, *words]):
        print(output)
        sys.exit(status)
"""

READY = {
    "terraform version": (0, "Terraform v1.11.4\non linux_amd64"),
    "gcloud version": (0, "Google Cloud SDK 528.0.0\nbq 2.1.18"),
    "auth print-access-token": (0, "ya29.token"),
    "gcloud projects describe": (0, "ACTIVE"),
    "billing projects": (0, "True"),
}
"""What a project answers that may be deployed to."""


@dataclass(frozen=True)
class CommandStandIns:
    """Programs that answer as they are told, and 0 where nobody told them."""

    folder: Path

    def answer(self, **answers: tuple[int, str]) -> None:
        """`answer(**{"buckets describe": (1, "")})`: exit status and output, by a part of the command."""
        (self.folder / "answers.json").write_text(json.dumps(answers))

    def called(self) -> list[str]:
        """The commands, the oldest first."""
        return [" ".join([name, *words]) for name, words, _ in self._lines()]

    def read(self) -> list[str]:
        """What was read from a standard input."""
        return [text for _, _, text in self._lines() if text]

    def _lines(self) -> list[tuple[str, list[str], str]]:
        path = self.folder / "called.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def command_stand_ins(folder: Path, setenv: Callable[[str, str], None], *programs: str) -> CommandStandIns:
    """Put stand-ins for the programs first on the PATH; they answer 0 and nothing."""
    folder.mkdir(exist_ok=True)
    for name in programs:
        path = folder / name
        path.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder), name=name))
        path.chmod(0o755)
    setenv("PATH", f"{folder}:{os.environ['PATH']}")
    made = CommandStandIns(folder)
    made.answer()
    return made
