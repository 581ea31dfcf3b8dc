"""`dropscribe bench`: the repository's benchmarks, in a process of their own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[3]
_MODULE = ROOT / "benchmarks" / "__main__.py"
_FIGURES = ROOT / "build" / "bench.json"


@errors_in_one_line
def run_benchmarks(names: list[str], *, dry_run: bool, as_json: bool) -> int:
    """The exit status: 0 where all were measured."""
    if not _MODULE.exists():
        raise CommandError("The benchmarks are in the repository, not in the package: run this in a clone of it.")
    known = benchmark_names()
    if unknown := set(names) - set(known):
        raise CommandError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}", ExitCode.USAGE)
    chosen = names or known
    if dry_run:
        print(json.dumps({"benchmarks": chosen}) if as_json else "\n".join(chosen))
        return ExitCode.COMPLETED
    # Their own lines go where they do not disturb the JSON.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *chosen], cwd=ROOT, stdout=sys.stderr if as_json else None, check=False
    )
    if as_json and _FIGURES.exists():
        print(json.dumps({"benchmarks": chosen, "measurements": json.loads(_FIGURES.read_text())}))
    return ExitCode.ERROR if done.returncode else ExitCode.COMPLETED


def benchmark_names() -> list[str]:
    """Read, not imported: nothing of the product sees benchmarks."""
    for node in ast.parse(_MODULE.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="BENCHMARKS")], value=ast.Dict() as table):
                return list(ast.literal_eval(table))
    return []
