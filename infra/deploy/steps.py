"""What a deployment is made of: commands, with why they are there and how to see that they are done already."""

from __future__ import annotations

from dataclasses import dataclass

from infra.doctor.commands import Command


@dataclass(frozen=True)
class Step:
    """One command of a deployment. It may be run again at any time."""

    title: str
    why: str
    command: Command
    done_if: tuple[Command, ...] = ()
    """Where all of these succeed the step is left out; none: it is never left out."""
    hint: str = ""
    """What to do where it fails, beside running the whole again."""
    is_advice: bool = False
    """Whether the others go on where it fails."""
    again_seconds: float | None = None
    """Where it fails it is run once more after so long; None: it is not."""
    secret: str | None = None
    """Name of the secret that the command reads from its standard input: no argument list has room for one."""
