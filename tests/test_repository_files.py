"""What hosts and tools read of the repository: workflows, hooks, update rules, templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
YAML_FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / ".pre-commit-config.yaml",
        *(ROOT / ".github").rglob("*.yml"),
        *(ROOT / ".github").rglob("*.yaml"),
    ]
)
TARGETS = frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def commands() -> list[str]:
    jobs = read(".github/workflows/ci.yml")["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("name", YAML_FILES)
def test_it_is_yaml(name: str) -> None:
    assert isinstance(read(name), dict)


def test_the_workflow_runs_make_targets_that_exist() -> None:
    run = [command.split() for command in commands()]
    assert {words[0] for words in run} == {"make"}
    assert {words[1] for words in run} == {"check", "demo", "test", "terraform", "rehearse"}
    assert {words[1] for words in run} <= TARGETS


def test_the_workflow_runs_every_python_that_the_package_claims() -> None:
    versions = read(".github/workflows/ci.yml")["jobs"]["python"]["strategy"]["matrix"]["python"]
    claimed = re.search(r'requires-python = ">=(\S+)"', (ROOT / "pyproject.toml").read_text())
    assert claimed is not None
    assert versions[0] == claimed[1]
    assert all(f"python{version}" in (ROOT / "Makefile").read_text() for version in versions)


def test_the_workflow_may_only_read() -> None:
    assert read(".github/workflows/ci.yml")["permissions"] == {"contents": "read"}


def test_hooks_are_what_make_check_runs() -> None:
    hooks = [hook["entry"].split()[0] for repo in read(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    check = re.search(r"^check:.*\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert check is not None
    assert hooks
    for hook in hooks:
        assert f"$(BIN)/{hook.removeprefix('.venv/bin/')}" in check[1]


def test_update_rules_name_folders_with_something_to_update() -> None:
    what = {
        "pip": "pyproject.toml",
        "docker": "Dockerfile*",
        "terraform": "*.tf",
        "github-actions": ".github/workflows/*.yml",
    }
    rules = read(".github/dependabot.yml")["updates"]
    assert {rule["package-ecosystem"] for rule in rules} == set(what)
    for rule in rules:
        for folder in rule.get("directories") or [rule["directory"]]:
            assert list((ROOT / folder.strip("/")).glob(what[rule["package-ecosystem"]])), folder


@pytest.mark.parametrize("name", [name for name in YAML_FILES if "ISSUE_TEMPLATE" in name])
def test_an_issue_form_has_what_github_asks_for(name: str) -> None:
    form = read(name)
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    for field in form["body"]:
        assert field["type"] in ("input", "textarea", "dropdown")
        assert field["attributes"]["label"]
