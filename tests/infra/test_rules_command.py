"""`dropscribe rules`: what a file of rules gives uploads, before it is deployed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from infra.cli.exit_codes import ExitCode
from infra.cli.operations.rules import show

RULES = """
[[rule]]
pattern = "therapy/**"
privacy = "local"
monthly-budget-usd = 25

[[rule]]
pattern = "**/split/*"
channels = "split"

[[rule]]
pattern = "**/all/**"
track = "all"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_each_names_rules_and_options_are_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(file, ["therapy/a.wav", "b.wav"], as_json=True) == ExitCode.COMPLETED
    shown = json.loads(capsys.readouterr().out)
    assert shown["rules"] == 3
    first, second = shown["uploads"]
    assert first == {
        "name": "therapy/a.wav",
        "patterns": ["therapy/**"],
        "options": {"transcribe-privacy": "local"},
        "monthly_budget_usd": 25,
        "problem": None,
    }
    assert (second["patterns"], second["options"]) == ([], {})


def test_rules_that_exclude_each_other_show_that_such_uploads_are_rejected(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(file, ["a/all/split/b.wav"], as_json=False) == ExitCode.REJECTED
    assert "all mixes tracks" in " ".join(capsys.readouterr().out.split())


def test_a_file_that_has_no_rules_is_refused_with_what_is_wrong(file: Path, tmp_path: Path) -> None:
    file.write_text('[[rule]]\npattern = "a"\nprivat = 1\n')
    with pytest.raises(typer.BadParameter, match="'privat' is no option"):
        show(file, [], as_json=False)
    file.write_bytes(b"\xff")
    with pytest.raises(typer.BadParameter, match="UTF-8"):
        show(file, [], as_json=False)
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        show(tmp_path / "missing.toml", [], as_json=False)
