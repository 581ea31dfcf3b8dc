"""Coverage is measured while the tests of what it is measured of run, and no others.

Until Python 3.14 a tracer of branches is told of every line that runs, in whichever file: what runs under it takes
about half as much CPU again, and what other tests touch of the two packages by the way would count as tested. Property
tests run the same lines for hundreds of examples, at twice the CPU; what they alone reach does not count.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
MEASURED = (TESTS / "shared", TESTS / "trigger_function")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """pytest-cov's own `no_cover` leaves the fixtures in."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    if controller is None or is_measured(item):
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()


def is_measured(item: pytest.Item) -> bool:
    """Whether the lines that this test runs count."""
    in_scope = any(item.path.is_relative_to(folder) for folder in MEASURED)
    return in_scope and item.get_closest_marker("hypothesis") is None
