"""Coverage is measured while the tests of what it is measured of run, and no others.

Until Python 3.14 a tracer of branches is told of every line that runs, in whichever file: what runs under it takes
about half as much CPU again, and what other tests touch of the two packages by the way would count as tested.
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
    if controller is None or any(item.path.is_relative_to(folder) for folder in MEASURED):
        return (yield)
    controller.pause()
    try:
        return (yield)
    finally:
        controller.resume()
