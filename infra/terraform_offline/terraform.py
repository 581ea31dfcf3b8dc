"""Running Terraform on a copy of terraform/, attached to a stand-in for Google's provider."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NEEDED = ("terraform", "infra/dashboards")
"""What the configuration is made of."""

SKIPPED = "SKIPPED: terraform's checks: no terraform binary on the PATH, nor at $TERRAFORM (1.9 or newer is needed)."

COMMAND_SECONDS = 300.0


@dataclass(frozen=True)
class CommandResult:
    """A command that ended."""

    command: str
    status: int
    output: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == 0


def find_terraform() -> Path | None:
    """The terraform binary at $TERRAFORM, or on the PATH."""
    found = shutil.which(os.environ.get("TERRAFORM") or "terraform")
    return Path(found) if found else None


class Workspace:
    """A copy of the configuration in `root`, which init and tests may change."""

    def __init__(self, binary: Path, root: Path, provider: Mapping[str, str]) -> None:
        self._binary = binary
        self._environment = {**os.environ, **provider, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        self.root = root
        for part in NEEDED:
            ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "terraform.tfstate*")
            shutil.copytree(ROOT / part, root / part, ignore=ignored)

    @property
    def module(self) -> Path:
        """The copied module."""
        return self.root / "terraform"

    def checks(self) -> Iterator[CommandResult]:
        """Format, module, tests, and each example; every command as it ends. Stops at the first that fails."""
        commands = [("fmt", "-check", "-recursive", "-diff"), ("init", "-backend=false"), ("validate",), ("test",)]
        steps = [(self.module, command) for command in commands]
        for example in sorted((self.module / "examples").iterdir()):
            steps += [(example, ("init", "-backend=false")), (example, ("validate",))]
        for folder, command in steps:
            done = self.run(*command, folder=folder)
            yield done
            if not done.ok:
                return

    def test_events(self, *options: str) -> list[dict[str, Any]]:
        """What `terraform test -json -verbose` says, plans included."""
        done = self.run("test", "-json", "-verbose", *options)
        lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
        if not done.ok:
            raise RuntimeError("\n".join(str(line.get("@message")) + str(line.get("diagnostic", "")) for line in lines))
        return lines

    def run(self, *command: str, folder: Path | None = None) -> CommandResult:
        """Run terraform in the module or another folder of the copy."""
        at = folder or self.module
        ended = subprocess.run(
            [self._binary, *_plain(command)],
            cwd=at,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        return CommandResult(
            f"{at.relative_to(self.root)}: terraform {' '.join(command)}", ended.returncode, ended.stdout
        )


def _plain(command: Sequence[str]) -> list[str]:
    return [*command, *([] if "-json" in command or command[0] == "fmt" else ["-no-color"])]
