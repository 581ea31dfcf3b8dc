"""What docs/deploy.md has of the rehearsal: a deploy's commands in order, and where it stops on what.

`python -m infra.rehearse.transcript` writes both into the page; the rehearsal holds that they are true.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

from infra.deploy.options import Options, Target
from infra.deploy.plan import deployment
from infra.doctor.checks import PREFLIGHT, at_stages
from infra.doctor.names import Names
from infra.rehearse.scenarios import SCENARIOS, Run, Scenario
from infra.terraform_offline.terraform import ROOT

PAGE = ROOT / "docs" / "deploy.md"
EXAMPLE = Target(Names("my-project", "us-central1"))
RELEASE = "RELEASE"
TITLE_CHARACTERS, COMMAND_CHARACTERS = 40, 72


def steps() -> str:
    """The steps of a first deploy, a line each: its title, and the beginning of its command."""
    checks = ", ".join(check.subject for check in at_stages(*PREFLIGHT))
    return "\n".join((f" 0. Check credentials, {checks}", *_steps()))


def _steps() -> Iterator[str]:
    for number, step in enumerate(deployment(Options(EXAMPLE, RELEASE)), 1):
        program, *words = (word for word in step.command if not word.startswith("-chdir="))
        command = shlex.join(("python" if program == sys.executable else program, *words))
        if len(command) > COMMAND_CHARACTERS:
            command = f"{command[:COMMAND_CHARACTERS].rpartition(' ')[0]} ..."
        title = f"{step.title}{' *' if step.done_if else ''}"
        yield f"{number:2}. {title:<{TITLE_CHARACTERS}} {command}"


def ends() -> str:
    """Each scenario, and how it ends, as a table."""
    rows = (f"| **{scenario.title}.** {scenario.about} | {_ends(scenario)} |" for scenario in SCENARIOS)
    return "\n".join(("| a project | how it ends |", "|---|---|", *rows))


def _ends(scenario: Scenario) -> str:
    return "; ".join(_end(run) for run in scenario.runs)


def _end(run: Run) -> str:
    options = run.command.partition("us-central1")[2].strip()
    given = f"with `{options}` " if options else ""
    where = "ends well" if run.stops_at is None else f"stops at _{run.stops_at}_"
    left_out = "; nothing is built" if "Build the images" in run.left_out else ""
    return f"{given}{where}{left_out}: {', '.join(f'`{says}`' for says in run.says)}"


def written(text: str) -> str:
    """The page with both parts as they are now."""
    for name, part in (("steps", f"```text\n{steps()}\n```"), ("ends", ends())):
        begin, end = f"<!-- rehearsal: {name} -->", "<!-- rehearsal: end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(f"{begin}\n{part}\n{end}".replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
