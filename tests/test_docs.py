"""Documentation names files, functions and commands that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli.operations.bench import benchmark_names

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "terraform/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = "trigger_function|gpu_job|shared|dropscribe|infra|terraform|tests|benchmarks|tools|docs"
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w/.-]*[\w/])(?![\w*.-]*\*)")
REFERENCE = re.compile(rf"`((?:{FOLDERS})/[\w/.]+\.py): (\w+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
MODULE = re.compile(r"python -m ((?:infra|benchmarks|gpu_job|tools)[\w.]*)")
NOT_YET = {"docs/decisions/060-lease-until-there-are-slots.md"}
MADE_BY_THE_READER = {"terraform/terraform.tfvars"}


def pages() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        name, text = page.relative_to(ROOT).as_posix(), page.read_text()
        if name not in NOT_YET and "- Status: superseded" not in text:
            yield name, text


def missing(pattern: re.Pattern[str]) -> set[str]:
    found = {(name, match[1]) for name, text in pages() for match in pattern.finditer(text)}
    assert found
    return {f"{name}: {path}" for name, path in found if path not in MADE_BY_THE_READER and not (ROOT / path).exists()}


def test_paths_are_there() -> None:
    assert missing(PATH) == set()


def test_functions_are_in_the_files_they_are_said_to_be_in() -> None:
    named = {(name, *match.groups()) for name, text in pages() for match in REFERENCE.finditer(text)}
    assert named
    wrong = set()
    for name, path, symbol in named:
        text = (ROOT / path).read_text() if (ROOT / path).exists() else ""
        if not re.search(rf"^\s*(?:async )?(?:def|class) {symbol}\b|^{symbol}\b.*=", text, re.MULTILINE):
            wrong.add(f"{name}: {path}: {symbol}")
    assert wrong == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text()) if not (page.parent / link.strip()).exists()]
    assert broken == []


def test_sections_that_are_linked_are_there() -> None:
    found = [(page, *match.groups()) for page in PAGES for match in ANCHOR.finditer(page.read_text())]
    assert found
    wrong = {
        f"{page.relative_to(ROOT)}: {path}#{anchor}"
        for page, path, anchor in found
        if anchor not in anchors((page.parent / path if path else page).read_text())
    }
    assert wrong == set()


def anchors(text: str) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_modules_can_be_run() -> None:
    named = {(name, module) for name, text in pages() for module in MODULE.findall(text)}
    assert named
    wrong = {
        f"{name}: {module}"
        for name, module in named
        if not any((ROOT / f"{module.replace('.', '/')}{end}").exists() for end in (".py", "/__main__.py"))
    }
    assert wrong == set()


def test_the_list_of_benchmarks_is_whole() -> None:
    listed = re.search(
        r"`python -m benchmarks NAME \.\.\.` runs some: (.+?)\.", (ROOT / "docs/benchmarks.md").read_text(), re.DOTALL
    )
    assert listed is not None
    assert set(listed[1].replace("\n", " ").split(", ")) == set(benchmark_names())
