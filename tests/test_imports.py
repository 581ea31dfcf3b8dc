"""Which way imports run: trigger_function -> shared <- gpu_job; dropscribe, for callers, sees them all;
infra sees that, too, and nobody of them sees infra."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = frozenset({"trigger_function", "gpu_job", "shared", "dropscribe", "infra", "benchmarks", "tools", "tests"})
MAY_IMPORT = {
    "shared": {"shared"},
    "trigger_function": {"trigger_function", "shared"},
    "gpu_job": {"gpu_job", "shared"},
    "dropscribe": {"dropscribe", "trigger_function", "gpu_job", "shared"},
    "infra": {"infra", "dropscribe", "trigger_function", "gpu_job", "shared"},
    "tools": {"tools", "infra", "dropscribe", "trigger_function", "gpu_job", "shared"},
    "benchmarks": {"benchmarks", "tools", "infra", "dropscribe", "trigger_function", "gpu_job", "shared"},
}


LAYERS = {
    "gpu_job": [
        {"fetch", "instance", "onnx_sessions"},
        {"audio"},
        {"speakers", "vad", "asr"},
        {"audit", "languages"},
        {"assembly"},
        {"engines"},
        {"periodic", "rendering", "transcription"},
        {"pipeline"},
        {"settings"},
        {"redaction"},
        {"progress_reports"},
        {"health", "worker"},
        {"__main__"},
    ],
    "shared": [
        {"object_names", "errors", "pages", "redaction"},
        {"formats"},
        {"clock", "enums", "media"},
        {"keyterms", "languages"},
        {"gzip_content", "objects", "piece_stream", "options", "storage_errors", "telemetry", "public_http"},
        {"unreadable"},
        {"costs", "deepgram_request", "transcript"},
        {"messages", "settings"},
        {"progress"},
        {"deepgram", "state"},
        {"voices"},
        {"operations"},
    ],
    "dropscribe": [
        {"erasure", "errors", "local_engines", "local_media", "outcomes", "resumable", "result_files"},
        {"job_ids", "uploads"},
        {"job"},
        {"client"},
        {"transcription_handler"},
    ],
    "trigger_function": [
        {"alerts", "budget", "deepgram", "gathering", "inspection", "settings", "signed_urls"},
        {"routing"},
        {"services"},
        {"launch", "decide_and_reserve"},
        {"deepgram_finish"},
        {"deepgram_call"},
        {"callback", "dispatch", "webhooks"},
        {"handle_upload"},
        {"api", "reconciler"},
        {"main"},
    ],
}
"""The inner order of a package: what stands higher up in the list is never imported from what stands further down
its own list. Modules of one set do not import each other."""

MAX_MODULES = 14
"""In a package that has packages in it; leaves may hold a few more."""
MAX_LEAF_MODULES = 17


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by their dotted names, however deep."""
    files = (ROOT / package).rglob("*.py")
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imported_modules(source: str, known: Collection[str]) -> Iterator[str]:
    """The `known` modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                names = [f"{module}.{alias.name}" for alias in node.names]
                names = [name if name in known else module for name in names]
            case _:
                continue
        yield from (name for name in names if name in known)


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


@pytest.mark.parametrize("package", LAYERS)
def test_inside_a_package_imports_run_one_way(package: str) -> None:
    levels = {name: level for level, names in enumerate(LAYERS[package]) for name in names}
    known = modules(package)
    wrong, unlisted = set(), set()
    for module, file in known.items():
        _, _, inside = module.partition(".")
        place = inside.partition(".")[0]
        if place and place not in levels:
            unlisted.add(place)
        for other in imported_modules(file.read_text(), known):
            target = other.partition(".")[2].partition(".")[0]
            if place and target and target != place and levels[target] >= levels[place]:
                wrong.add(f"{module} imports {other}")
    assert unlisted == set()
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    known = {name: file for package in MAY_IMPORT for name, file in modules(package).items()}
    graph = {name: set(imported_modules(file.read_text(), known)) - {name} for name, file in known.items()}
    # Raises CycleError, which names the circle. A package's own __init__ is imported by whatever is in it.
    order = list(TopologicalSorter(graph).static_order())
    assert len(order) == len(known)


def test_packages_are_small_enough_to_be_read() -> None:
    too_large = set()
    for package in ("gpu_job", "shared", "trigger_function", "dropscribe", "infra"):
        for folder in {file.parent for file in (ROOT / package).rglob("*.py")}:
            count = sum(file.name != "__init__.py" for file in folder.glob("*.py"))
            is_leaf = not any((child / "__init__.py").exists() for child in folder.iterdir() if child.is_dir())
            if count > (MAX_LEAF_MODULES if is_leaf else MAX_MODULES):
                too_large.add(f"{folder.relative_to(ROOT)}: {count} modules")
    assert too_large == set()


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
    heavy = ("torch", "nemo", "numpy", "numba", "librosa", "sentencex", "wcwidth", "gpu_job", "infra")
    program = f"import sys, trigger_function.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
