"""Runs steps one after the other, and no further than the first that fails."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from infra.deploy.steps import Step
from infra.doctor.checks import PREFLIGHT, at_stages
from infra.doctor.commands import PROGRAM_NOT_FOUND, ask


class Runner:
    """Runs commands in `folder`, and prints what it does."""

    def __init__(self, folder: Path, console: Console, secrets: Mapping[str, str]) -> None:
        self._folder = folder
        self._console = console
        self._secrets = secrets

    def announce(self, steps: Sequence[Step]) -> None:
        """Say what is going to happen."""
        self._say("\n".join(f"{number:3}. {step.title}. {step.why}" for number, step in enumerate(steps, 1)))

    def run(self, steps: Sequence[Step]) -> int:
        """Run the steps; the exit status of the first that fails, else 0."""
        for number, step in enumerate(steps, 1):
            self._console.rule(f"{number}/{len(steps)} {step.title}", align="left")
            if step.done_if and all(ask(probe, self._folder).status == 0 for probe in step.done_if):
                self._say("Done already.")
                continue
            self._say(shlex.join(step.command))
            status = self._run_command(step)
            if status != 0 and step.again_seconds is not None:
                self._say(f"Once more in {step.again_seconds:g} s: what is new may not be known everywhere yet.")
                time.sleep(step.again_seconds)
                status = self._run_command(step)
            if status != 0 and step.is_advice:
                self._say(f"This stops nothing. {step.hint}".rstrip())
            elif status != 0:
                self._say(f"\nFAILED ({status}): {step.title}. {step.hint}".rstrip())
                self._say("Run the same command again once it is mended: what is done already is left out.")
                return status
        return 0

    def _run_command(self, step: Step) -> int:
        secret = None if step.secret is None else self._secrets[step.secret].encode()
        try:
            return subprocess.run(step.command, cwd=self._folder, input=secret).returncode
        except FileNotFoundError:
            return PROGRAM_NOT_FOUND

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def shell_lines(steps: Sequence[Step]) -> str:
    """What would be run, as lines for a shell with the reasons as comments."""
    checked = ", ".join(check.subject for check in at_stages(*PREFLIGHT))
    lines = [f"# First, these are checked: credentials, {checked}."]
    for number, step in enumerate(steps, 1):
        lines += ["", f"# {number}. {step.title}. {step.why}"]
        if step.done_if:
            lines.append(f"# Left out where this succeeds: {' && '.join(map(shlex.join, step.done_if))}")
        if step.secret is not None:
            lines.append(f"# Reads {step.secret} from its standard input.")
        lines.append(shlex.join(step.command))
    return "\n".join(lines)
