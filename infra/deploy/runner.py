"""Checks and steps at work: one after the other, and no further than the first that fails."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from infra.deploy.steps import Check, Command, Step

CHECK_SECONDS = 120.0
NOT_FOUND = 127
"""Exit status of a program that is not there, as a shell has it."""


class Runner:
    """Runs commands in `folder`, and says what it does."""

    def __init__(self, folder: Path, console: Console, secrets: Mapping[str, str]) -> None:
        self._folder = folder
        self._console = console
        self._secrets = secrets

    def check(self, checks: Sequence[Check]) -> bool:
        """Whether all are true; what is not is printed with its fix. What a command prints is shown to nobody."""
        failed = False
        for check in checks:
            status, output, complaint = self._asked(check.command)
            passed = status == 0 and re.search(check.expects, output) is not None
            failed |= not passed
            self._say(f"{'ok  ' if passed else 'FAIL'}  {check.title}")
            if not passed:
                said = [line for line in complaint.splitlines() if line.strip()]
                self._say("\n".join(f"      {line}" for line in (*said[:1], f"Fix: {check.fix}")))
        return not failed

    def announce(self, steps: Sequence[Step]) -> None:
        """Say what is going to happen."""
        self._say("\n".join(f"{number:3}. {step.title}. {step.why}" for number, step in enumerate(steps, 1)))

    def run(self, steps: Sequence[Step]) -> int:
        """Run the steps; the exit status of the first that fails, else 0."""
        for number, step in enumerate(steps, 1):
            self._console.rule(f"{number}/{len(steps)} {step.title}", align="left")
            if step.done_if and all(self._asked(probe)[0] == 0 for probe in step.done_if):
                self._say("Done already.")
                continue
            self._say(shlex.join(step.command))
            status = self._ran(step)
            if status != 0 and step.is_advice:
                self._say(f"This stops nothing. {step.hint}".rstrip())
            elif status != 0:
                self._say(f"\nFAILED ({status}): {step.title}. {step.hint}".rstrip())
                self._say("Run the same command again once it is mended: what is done is found.")
                return status
        return 0

    def _ran(self, step: Step) -> int:
        secret = None if step.secret is None else self._secrets[step.secret].encode()
        try:
            return subprocess.run(step.command, cwd=self._folder, input=secret).returncode
        except FileNotFoundError:
            return NOT_FOUND

    def _asked(self, command: Command) -> tuple[int, str, str]:
        try:
            done = subprocess.run(
                command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=CHECK_SECONDS,
            )  # fmt: skip
        except FileNotFoundError:
            return NOT_FOUND, "", f"{command[0]} is not on the PATH."
        except subprocess.TimeoutExpired:
            return 1, "", f"{shlex.join(command)} did not answer within {CHECK_SECONDS:g} s."
        return done.returncode, done.stdout, done.stderr

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def told(checks: Sequence[Check], steps: Sequence[Step]) -> str:
    """What would be run, as lines for a shell with the reasons as comments."""
    lines = ["# First:", *(shlex.join(check.command) for check in checks)]
    for number, step in enumerate(steps, 1):
        lines += ["", f"# {number}. {step.title}. {step.why}"]
        if step.done_if:
            lines.append(f"# Left out where this succeeds: {' && '.join(map(shlex.join, step.done_if))}")
        if step.secret is not None:
            lines.append(f"# Reads {step.secret} from its standard input.")
        lines.append(shlex.join(step.command))
    return "\n".join(lines)
