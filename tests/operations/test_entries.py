"""The runbook's entries and their tests are in step, and each entry says what whoever is on call needs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.runbook import PARTS, part, runbook

HERE = Path(__file__).parent
REQUIRED = (
    "GPU quota is gone",
    "The model is corrupt",
    "Deepgram is down",
    "The state bucket is read-only",
    "Pub/Sub is down for ten minutes",
    "An upload ends every worker",
    "The region is out",
    "The price book is wrong",
    "Back to Deepgram alone",
)


def names_of_tests() -> list[str]:
    tree = ast.parse((HERE / "test_runbook.py").read_text())
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def test_no_entry_is_missing() -> None:
    assert runbook().keys() >= set(REQUIRED)


@pytest.mark.parametrize("title", REQUIRED)
def test_an_entry_has_every_part_in_order(title: str) -> None:
    assert tuple(re.findall(r"^- \*\*(.+?)\.\*\*", runbook()[title], re.MULTILINE)) == PARTS


def test_each_entry_has_a_test_and_each_test_an_entry() -> None:
    named = [part(entry, "Test") for entry in runbook().values()]
    assert sorted(named) == sorted(f"`tests/operations/test_runbook.py: {name}`" for name in names_of_tests())
