"""The documentation site builds, and its generated pages are what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from infra.docs_site.command_help import commands, rendered
from shared.messages import TerminalMessage
from shared.progress.model import Progress

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # As `mkdocs build --strict`: a warning ends the build. Without the search index, which no test uses.
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder), plugins=[])
    build(config)
    return folder


def test_it_builds_without_a_warning(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    for page in ("index", "tutorial", "python", "how-to/subscribe", "command-help", "decisions/index"):
        assert (site / f"{page}.html").exists()


def test_links_out_of_docs_are_text_in_the_site(site: Path) -> None:
    text = (site / "deploy.html").read_text()
    assert "(<code>terraform/README.md</code>)" in text
    assert 'href="../terraform' not in text


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert re.findall(r'(?:src|href)="(https?:[^"]+)"[^>]*(?:stylesheet|script)', page) == []
    assert "fonts.googleapis" not in page


def test_every_page_has_a_place(site: Path) -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert {page for page in pages if not page.startswith("decisions/") and page not in navigation} == set()


def test_the_page_of_commands_is_what_they_print() -> None:
    assert (DOCS / "command-help.md").read_text() == rendered(), "python -m infra.docs_site.command_help writes it"


COMMANDS = frozenset(
    {
        *("run", "up", "submit", "status", "watch", "results", "estimate", "explain", "costs", "report"),
        *("doctor", "dead", "rerun", "erase", "reconcile", "bench"),
    }
)


def test_every_command_that_is_promised_is_there() -> None:
    assert {words[0] for words in commands()} >= COMMANDS


@pytest.mark.parametrize(("model", "title"), [(TerminalMessage, "Outcomes"), (Progress, "Progress")])
def test_every_field_of_a_message_is_described(model: type[TerminalMessage | Progress], title: str) -> None:
    section = re.search(rf"## {title}\n(.*?)(?=\n## |\Z)", (DOCS / "messages.md").read_text(), re.DOTALL)
    assert section is not None
    rows = [row.split("|")[1] for row in section[1].splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(model.model_fields)
