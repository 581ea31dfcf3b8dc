"""Every decision is one file with a date, a status and what was rejected, and stands in the index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "decisions"
FILES = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
TEXTS = {name: (FOLDER / name).read_text() for name in FILES}
STATUS = r"accepted|rejected|superseded by \[(\d{3})\]\((\S+\.md)\)"


def test_numbers_run_without_a_gap() -> None:
    assert [int(name[:3]) for name in FILES] == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("name", FILES)
def test_a_decision_says_when_what_and_what_not(name: str) -> None:
    text = TEXTS[name]
    head = re.match(rf"# (\d+)\. .+\n\n- Date: 20\d\d-\d\d-\d\d\n- Status: (?:{STATUS})\n\n", text)
    assert head is not None
    assert int(head[1]) == int(name[:3])
    for title in ("Context and decision", "Rejected"):
        section = re.search(rf"\n## {title}\n\n(.+?)(?=\n## |\Z)", text, re.DOTALL)
        assert section is not None
        assert len(section[1].split()) > 1


def test_a_superseded_decision_names_a_file_that_exists() -> None:
    named = [match for name in FILES for match in re.findall(rf"^- Status: (?:{STATUS})$", TEXTS[name], re.MULTILINE)]
    superseded = [(number, file) for number, file in named if file]
    assert superseded
    assert {file for _, file in superseded} <= set(FILES)
    assert all(file.startswith(number) for number, file in superseded)


def test_the_index_has_every_decision_with_its_title_date_and_status() -> None:
    rows = re.findall(
        r"^\| (\d{3}) \| \[(.+?)\]\((\S+\.md)\) \| (\S+) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.M
    )
    written = []
    for name, text in TEXTS.items():
        head = re.match(r"# \d+\. (.+)\n\n- Date: (.+)\n- Status: (.+)\n", text)
        assert head is not None
        written.append((name[:3], head[1], name, head[2], head[3]))
    assert rows == written
