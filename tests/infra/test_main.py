"""The command's front: what `--help` and `--version` load, the words that options take, and commands as documented."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gpu_job.asr.nemo.model_files import Precision
from infra.cli.jobs.upload_flags import MethodChoice, UploadFlags
from infra.cli.main import PrecisionChoice, app
from shared.enums import Method
from shared.options.metadata_keys import KEYS, PREFIX

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/command-line.md")
ONLY_ON_LINUX = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog", "posix"}


def test_options_take_what_the_product_knows() -> None:
    assert [*PrecisionChoice] == [*Precision]
    assert set(MethodChoice) == {"auto", *Method}


def test_each_flag_of_an_upload_is_a_key_of_its_metadata() -> None:
    assert {PREFIX + field.name.replace("_", "-") for field in fields(UploadFlags)} <= KEYS


def test_help_and_version_load_no_library_that_takes_long() -> None:
    heavy = ("torch", "nemo", "onnxruntime", "numpy", "av", "google.auth", "google.api_core", "requests", "pydantic")
    program = f"""
import sys
from infra.cli.main import main
sys.argv = ["dropscribe", "--version"]
try:
    main()
finally:
    print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"dropscribe {version('dropscribe')}", "[]"]


def test_the_command_line_imports_nothing_that_only_linux_has() -> None:
    files = sorted((ROOT / "infra" / "cli").rglob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert "pathlib" in imported
    assert imported & ONLY_ON_LINUX == set()


def commands_of(page: str) -> list[str]:
    """The lines of a page that a reader would paste: `$ dropscribe ...` or a pipe into it."""
    text = (ROOT / page).read_text()
    lines = re.findall(r"^ {4,}(?:\$ )?((?:[^\n#]*\| *)?dropscribe [^\n]*?)(?:  +#.*)?$", text, re.MULTILINE)
    return [line.partition("dropscribe ")[2] for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_understood_as_documented(page: str) -> None:
    command = typer.main.get_command(app)
    found = commands_of(page)
    for line in found:
        arguments = shlex.split(line)
        if arguments[0].startswith("-"):
            continue
        # Raises UsageError where a command or option is not known, or an argument is missing.
        command.commands[arguments[0]].make_context(arguments[0], arguments[1:])  # type: ignore[attr-defined]
    assert found


def test_what_standard_output_cannot_show_is_escaped(tmp_path: Path) -> None:
    program = "import sys; from infra.cli.main import main; sys.argv = ['dropscribe', 'explain', 'Ünsinn']; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "STATE_BUCKET": "b", "STORAGE_EMULATOR_HOST": "http://x"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr == b""
    assert done.stdout == rb"'\xdcnsinn' is neither a job id (24 hex digits) nor gs://BUCKET/NAME." + b"\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_the_values_of_options(shell: str) -> None:
    def completed(*words: str) -> str:
        line = " ".join(words)
        # As the installed scripts ask: bash and zsh by words, fish by what stands behind the command.
        environment = {
            "_DROPSCRIBE_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        return CliRunner().invoke(app, [], prog_name="dropscribe", env=environment).output

    assert "prepare-model" in completed("dropscribe", "pre")
    assert "hybrid" in completed("dropscribe", "run", "--method", "hy")
