"""Which way imports run: trigger_function -> shared <- gpu_job; infra sees all, and nobody of them sees infra."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = frozenset({"trigger_function", "gpu_job", "shared", "infra", "benchmarks", "tools", "tests"})
MAY_IMPORT = {
    "shared": {"shared"},
    "trigger_function": {"trigger_function", "shared"},
    "gpu_job": {"gpu_job", "shared"},
    "infra": {"infra", "trigger_function", "gpu_job", "shared"},
    "tools": {"tools", "infra", "trigger_function", "gpu_job", "shared"},
    "benchmarks": {"benchmarks", "tools", "infra", "trigger_function", "gpu_job", "shared"},
}


def imported(source: str) -> Iterator[str]:
    """The packages of this project that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                modules = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            case _:
                continue
        yield from (package for module in modules if (package := module.partition(".")[0]) in PACKAGES)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    wrong = {
        f"{file.relative_to(ROOT)} imports {other}"
        for file in files
        for other in imported(file.read_text())
        if other not in MAY_IMPORT[package]
    }
    assert files
    assert wrong == set()


@pytest.mark.parametrize(
    "source",
    [
        "import infra",
        "import infra.emulators as x",
        "from infra.emulators import cloud",
        "def f():\n  from infra import x",
    ],
)
def test_an_import_is_seen_wherever_it_stands(source: str) -> None:
    assert list(imported(source)) == ["infra"]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_folder_with_modules_is_a_package(package: str) -> None:
    folders = {file.parent for file in (ROOT / package).rglob("*.py")}
    assert {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_the_function_loads_neither_torch_nor_nemo() -> None:
    heavy = ("torch", "nemo", "numpy", "numba", "librosa", "gpu_job", "infra")
    program = f"import sys, trigger_function.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
