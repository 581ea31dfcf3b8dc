"""`python -m infra.docs_site.command_help`: docs/command-help.md, every command's help as the command prints it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from infra.cli.main import app

COLUMNS = 110

_HEAD = """\
# Commands

What `dropscribe COMMAND --help` prints. Written by `python -m infra.docs_site.command_help`; a test compares. What the
commands are for, their JSON and their exit status: [the command line](command-line.md).
"""


def commands() -> Iterator[tuple[str, ...]]:
    """Every command's words, those of groups included."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        if isinstance(command, TyperGroup):
            yield from ((name, inner) for inner in command.commands)
        else:
            yield (name,)


def rendered() -> str:
    """The page."""
    pages = [_HEAD]
    for words in sorted(commands()):
        name = " ".join(("dropscribe", *words))
        pages.append(f"## {name}\n\n```text\n{_help(words)}\n```\n")
    return "\n".join(pages)


def _help(words: tuple[str, ...]) -> str:
    # Defaults come from the environment, too: the page has those of nobody.
    nobody = {name: None for name in os.environ if name.endswith("_BUCKET") or name == "GOOGLE_CLOUD_PROJECT"}
    plain = {"NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": str(COLUMNS), "COLUMNS": str(COLUMNS)}
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="dropscribe", env={**nobody, **plain})
    return "\n".join(line.rstrip() for line in done.output.strip("\n").splitlines())


if __name__ == "__main__":
    print(rendered(), end="")
