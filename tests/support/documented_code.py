"""Code blocks of the documentation that can be run, in the order in which they stand on a page.

Run are ```python blocks, which share their names with those before, and the lines of ```console blocks that begin with
`$ dropscribe`; `run` starts servers of its own, as in a shell that knows of no others. Other languages are not run; nor
is a block behind the line `<!-- not run: why -->`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from infra.cli.local.up import COMMANDS_ENVIRONMENT
from infra.cli.main import app

BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+?) -->\n)?```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUN = ("python", "console")
PROMPT = "$ dropscribe "


@dataclass(frozen=True)
class CodeBlock:
    """One that is to be run."""

    page: str
    line: int
    language: str
    code: str


def code_blocks(page: Path) -> Iterator[CodeBlock]:
    """Those of a page that are run."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        if found["language"] in RUN and found["why"] is None:
            line = text.count("\n", 0, found.start("code")) + 1
            yield CodeBlock(page.name, line, found["language"], found["code"])


def run_block(block: CodeBlock, names: dict[str, object]) -> None:
    """Raises what the code raises, and AssertionError where a command does not end with 0."""
    if block.language == "python":
        # Padded, so that a traceback has the page's own line.
        code = compile("\n" * (block.line - 1) + block.code, block.page, "exec")
        # On a thread of its own: in this one Playwright's event loop may run, once a browser was opened in it.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(exec, code, names).result()
        return
    for line in block.code.splitlines():
        if line.startswith(PROMPT):
            words = shlex.split(os.path.expandvars(line.removeprefix(PROMPT)), comments=True)
            environment = dict.fromkeys(COMMANDS_ENVIRONMENT) if words[0] == "run" else None
            done = CliRunner().invoke(app, words, env=environment)
            assert done.exit_code == 0, f"{block.page}: {line}: {done.exit_code}\n{done.output}\n{done.exception!r}"
