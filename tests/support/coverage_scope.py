"""Coverage is measured while the tests of what it is measured of run, and no others.

Until Python 3.14 a tracer of branches is told of every line that runs, in whichever file: what runs under it takes
about half as much CPU again, and what other tests touch of the two packages by the way would count as tested. Property
tests run the same lines for hundreds of examples, at twice the CPU; what they alone reach does not count.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import shared
import trigger_function

TESTS = Path(__file__).parents[1]
MEASURED = (TESTS / "shared", TESTS / "trigger_function")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """pytest-cov's own `no_cover` leaves the fixtures in."""
    if is_measured(item):
        return (yield)
    with not_measured(item.config):
        return (yield)


@contextmanager
def measured_imports_alone(config: pytest.Config) -> Iterator[None]:
    """For the collection: the modules of the two packages are imported first, and count; what else is imported with the
    tests, NeMo and its dependencies among it, took half as long again under the tracer."""
    if _controller(config) is None or config.getoption("dist", "no") != "no":  # xdist's workers collect, not this one
        yield
        return
    for package in (shared, trigger_function):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    with not_measured(config):
        yield


@contextmanager
def not_measured(config: pytest.Config) -> Iterator[None]:
    """What runs inside does not count."""
    controller = _controller(config)
    if controller is None:
        yield
        return
    controller.pause()
    try:
        yield
    finally:
        controller.resume()


def _controller(config: pytest.Config) -> Any:
    """Of pytest-cov; None where coverage is not measured."""
    return getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)


def is_measured(item: pytest.Item) -> bool:
    """Whether the lines that this test runs count."""
    in_scope = any(item.path.is_relative_to(folder) for folder in MEASURED)
    return in_scope and item.get_closest_marker("hypothesis") is None
