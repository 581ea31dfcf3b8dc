"""Reports that pytest-xdist can send: what a test printed may hold halves of characters, which no UTF-8 has."""

from __future__ import annotations

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    report.sections = [(title, encodable(text)) for title, text in report.sections]
    return report


def encodable(text: str) -> str:
    """The same, lone surrogates as escapes."""
    return text.encode(errors="backslashreplace").decode()
