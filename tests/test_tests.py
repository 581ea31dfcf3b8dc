"""Habits of the tests themselves: public names only, helpers from tests/support, no clock read at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fast_selection import MEASURED_SLOW

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
PUBLIC = frozenset({"_replace", "_asdict", "_fields", "_make", "_exit"})
"""Documented: of named tuples, with an underscore only to be no field's name, and of `os`, to be unlike `exit`."""
OTHERS = frozenset(
    {
        "_C",
        "_cuda_beginAllocateCurrentThreadToPool",
        "_cuda_endAllocateToPool",
        "_cuda_releasePool",
        "_full_graph_compile",
        "_graph_reinitialize",
    }
)
"""Of NeMo's and torch's code, where only this can be observed or stood in for."""
OURS = frozenset(
    {"benchmarks", "dropscribe", "examples", "gpu_job", "infra", "shared", "tests", "tools", "trigger_function"}
)
CLOCKS = frozenset({"now", "utcnow", "today", "time", "monotonic", "perf_counter"})


def private_names(source: str) -> Iterator[str]:
    """Names with one underscore that are another's: imported from us, attributes, or patched by name."""
    tree = ast.parse(source)
    own = {
        node.name if isinstance(node, ast.FunctionDef) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value))
    }
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                if module.partition(".")[0] in OURS:
                    parts = [*module.split("."), *(alias.name for alias in names)]
                    yield from (f"{module}: {part}" for part in parts if _is_private(part))
            case ast.Attribute(value=owner, attr=name) if _is_private(name) and name not in own | PUBLIC | OTHERS:
                if not _is_self(owner):
                    yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=[_, ast.Constant(value=str(name)), *_]):
                if _is_private(name) and name not in OTHERS:
                    yield ast.unparse(node)
            case _:
                continue


def helper_imports(source: str) -> Iterator[str]:
    """Imports from a conftest or from a test's file: what two files need stands in tests/support."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                modules = [f"{module}.{alias.name}" for alias in names]
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case _:
                continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == "tests" and any(part == "conftest" or part.startswith("test_") for part in parts):
                yield module


def clock_readings(source: str) -> Iterator[str]:
    """Calls of a clock that run when the file is imported: an hour may pass before the test runs."""
    waiting: list[ast.AST] = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]  # type: ignore[list-item]
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in CLOCKS:
                yield ast.unparse(node)
        waiting += ast.iter_child_nodes(node) if node else []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


@pytest.mark.parametrize("habit", [private_names, helper_imports, clock_readings])
def test_habits_are_kept(habit: object) -> None:
    assert callable(habit)
    assert {f"{file.relative_to(TESTS)}: {one}" for file in FILES for one in habit(file.read_text())} == set()


@pytest.mark.parametrize(
    ("habit", "source"),
    [
        (private_names, "from gpu_job.worker import _x"),
        (private_names, "from gpu_job._worker import x"),
        (private_names, "worker._x()"),
        (private_names, "worker.part._x = 1"),
        (private_names, "monkeypatch.setattr(worker, '_x', 1)"),
        (helper_imports, "from tests.conftest import x"),
        (helper_imports, "def f():\n  from tests import conftest"),
        (helper_imports, "import tests.e2e.conftest"),
        (helper_imports, "from tests.e2e.test_killed import in_the_middle"),
        (clock_readings, "AGO = now() - HOUR"),
        (clock_readings, "@parametrize('at', [datetime.now(UTC)])\ndef f(): ..."),
        (clock_readings, "class A:\n  at = time.time()"),
    ],
)
def test_what_breaks_a_habit_is_seen(habit: object, source: str) -> None:
    assert callable(habit)
    assert list(habit(source))


@pytest.mark.parametrize(
    ("habit", "source"),
    [
        (private_names, "class A:\n  def f(self): self._x = 1\n  def g(self, other): return other._x"),
        (private_names, "pair._replace(left=1)"),
        (clock_readings, "def f(): return now()"),
        (clock_readings, "AGO = lambda: now()"),
    ],
)
def test_what_keeps_a_habit_is_let_be(habit: object, source: str) -> None:
    assert callable(habit)
    assert list(habit(source)) == []


def test_files_that_were_measured_to_be_slow_exist() -> None:
    assert [name for name in MEASURED_SLOW if TESTS.parent / name not in FILES] == []
