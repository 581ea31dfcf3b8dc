"""`pytest --fast`: the tests that need no NeMo, no processes and no server that takes seconds to start.

Nobody marks a test. A test file is left out before it is imported where its imports say so, or where it was measured to
be slow; a test where its fixtures do. What is left is for the loop of editing and trying; `make test` runs everything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SLOW_LIBRARIES = frozenset({"torch", "nemo", "playwright"})
"""Seconds to import, through whichever module of the project, or to start."""
SLOW_IN_TESTS = frozenset(
    {
        "subprocess",
        "multiprocessing",
        "infra.cli.local.session",
        "infra.docker.locks",
        "infra.emulators.cloud",
        "infra.emulators.function_host",
        "infra.terraform_offline.terraform",
    }
)
"""What starts processes, where a test or its helpers import it themselves."""
MEASURED_SLOW = {
    "tests/gpu_job/worker/test_languages.py": 4.0,
    "tests/dropscribe/test_client.py": 7.5,
    "tests/test_docs_site.py": 8.0,
    "tests/crash_points/test_kinds_of_effects.py": 14.6,
    "tests/crash_points/test_reconciler.py": 10.1,
    "tests/crash_points/test_shards.py": 11.1,
    "tests/gpu_job/worker/test_shards.py": 6.2,
    "tests/operations/test_runbook.py": 5.5,
    "tests/shared/operations/test_erase.py": 5.1,
    "tests/shared/state/test_jobs_and_shards.py": 5.6,
    "tests/shared/state/test_no_lost_wakeup.py": 10.2,
    "tests/gpu_job/audio/test_media_files.py": 20.8,
    "tests/shared/state/test_finisher.py": 9.4,
    "tests/infra/test_doctor_faults.py": 8.3,
    "tests/trigger_function/test_budget.py": 7.7,
}
"""CPU seconds of files that take more than five of them without one of these reasons: many decoders, or many calls of
3 ms to local servers (2026-11-28, two cores, one process)."""
SLOW_FIXTURES = frozenset(
    {
        "deepgram_server",
        "shared_deepgram_server",
        "emulator",
        "parakeet",
        "tiny_model",
        "long_chunks",
        "short_chunks",
        "record",
        "cover",
        "convert",
    }
)

SLOW_FILES = "dropscribe_slow_files"
"""Where workers of xdist find what was found out once."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out what needs NeMo, processes or slow servers")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before xdist starts a worker: each would take a second to find out by itself."""
    if node.config.getoption("--fast"):
        node.workerinput[SLOW_FILES] = sorted(
            str(file) for file in (ROOT / "tests").rglob("test_*.py") if is_slow(file)
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--fast") or not collection_path.match("test_*.py"):
        return None
    known: Sequence[str] | None = getattr(config, "workerinput", {}).get(SLOW_FILES)
    return (str(collection_path) in known if known is not None else is_slow(collection_path)) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--fast"):
        return
    slow = {item for item in items if isinstance(item, pytest.Function) and SLOW_FIXTURES & fixtures_of(item)}
    config.hook.pytest_deselected(items=list(slow))
    items[:] = [item for item in items if item not in slow]


def fixtures_of(test: pytest.Function) -> set[str]:
    """The fixtures of a test, those included that it is parametrised with by name."""
    parameters = test.callspec.params.values() if hasattr(test, "callspec") else ()
    return {*test.fixturenames, *(one for one in parameters if isinstance(one, str))}


@cache
def is_slow(test_file: Path) -> bool:
    """Whether to import this file is slow, or it starts processes, or its tests were measured to be slow."""
    if test_file.relative_to(ROOT).as_posix() in MEASURED_SLOW:
        return True
    found, left = set[Path](), [test_file]
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        in_tests = file.is_relative_to(ROOT / "tests")
        for name in imported(file):
            if name.partition(".")[0] in SLOW_LIBRARIES or (in_tests and name in SLOW_IN_TESTS):
                return True
            left += files_of(name)
    return False


@cache
def imported(file: Path) -> frozenset[str]:
    """The modules that are imported with a file: not those in functions, and not those for types alone."""
    return frozenset(_imported(ast.parse(file.read_text()).body))


@cache
def files_of(module: str) -> tuple[Path, ...]:
    """The files that Python runs for a module of this project, its packages' included."""
    parts = module.split(".")
    files = [ROOT.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1)]
    return tuple(file for file in (*files, ROOT.joinpath(*parts).with_suffix(".py")) if file.is_file())


def _imported(statements: list[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        match statement:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=other):
                yield from _imported(other)
            case ast.If(body=body, orelse=other):
                yield from _imported(body)
                yield from _imported(other)
            case ast.Try(body=body, orelse=other, handlers=handlers):
                yield from _imported(body)
                yield from _imported(other)
                for handler in handlers:
                    yield from _imported(handler.body)
            case ast.ClassDef(body=body) | ast.With(body=body):
                yield from _imported(body)
