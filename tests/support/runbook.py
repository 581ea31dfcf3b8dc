"""docs/operations.md, its runbook: what an entry says, and whether a deployment shows what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.doctor.report import Report
from infra.rehearse.recorded_answers import deployed
from tests.support.doctor_deployment import KEY, NAMES, doctor_deployment
from tests.support.log_lines import LogLines, recorded_log
from tests.support.loopback_cloud import STATE, LoopbackCloud

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_SECTION = re.compile(r"^## Runbook\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^### (.+?)\n(.*?)(?=^### |\Z)", re.DOTALL | re.MULTILINE)
PARTS = ("Sign", "By itself", "Do", "Over", "Test")
"""Of each entry, in this order."""


def runbook() -> dict[str, str]:
    """The entries, by title."""
    found = _SECTION.search(PAGE.read_text())
    assert found is not None
    return dict(_ENTRY.findall(found[1]))


def part(entry: str, name: str) -> str:
    """One part of an entry, in one line."""
    found = re.search(rf"^- \*\*{name}\.\*\* (.*?)(?=^- \*\*|\Z)", entry, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no {name} in the entry"
    return " ".join(found[1].split())


def entry_of(test: str) -> str:
    """The entry that names a test."""
    (entry,) = (text for text in runbook().values() if part(text, "Test").endswith(f": {test}`"))
    return entry


class Observed:
    """A deployment in trouble, and the entry that is about it."""

    def __init__(self, entry: str) -> None:
        self._entry = entry
        self._log = LogLines()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Every line that is logged while it is entered is kept."""
        with recorded_log(self._log):
            yield

    def logged(self, message: str, *, where: str = "Sign", **fields: object) -> dict[str, object]:
        """The first such line, which a part of the entry quotes, values of its fields too."""
        found = [line for line in self._log.lines if line["message"] == message and fields.items() <= line.items()]
        assert found, [line["message"] for line in self._log.lines[-12:]]
        self.says(where, f'"{message}"', *(f"`{value}`" for value in fields.values()))
        return found[0]

    def logged_like(self, beginning: str) -> None:
        """There is a line that begins so, and the sign quotes that."""
        found = [str(line["message"]) for line in self._log.lines]
        assert any(message.startswith(beginning) for message in found), found[-12:]
        self.says("Sign", f'"{beginning}..."')

    def says(self, name: str, *texts: str) -> None:
        """A part of the entry has all these texts."""
        said = part(self._entry, name)
        assert [text for text in texts if text not in said] == []

    def forget(self) -> None:
        """What is logged from now on is what counts."""
        self._log.lines.clear()


def observed(test: str) -> Observed:
    """The entry of a test, and a record of the log."""
    return Observed(entry_of(test))


def doctor_of(
    cloud: LoopbackCloud, folder: Path, key: Path, seed: Callable[[pytest.MonkeyPatch], None] = lambda _: None
) -> Report:
    """What the doctor says of a healthy deployment with the state bucket that `cloud` has by now."""
    state = {blob.name: blob.download_as_bytes() for blob in cloud.storage.bucket(STATE).list_blobs()}
    folder.mkdir()
    with (
        pytest.MonkeyPatch.context() as patch,
        doctor_deployment(deployed(NAMES, KEY), folder, patch.setenv, key) as deployment,
    ):
        for name, data in state.items():
            deployment.state.blob(name).upload_from_string(data)
        seed(patch)
        return deployment.report()
