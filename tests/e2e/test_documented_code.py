"""Every code block of the documentation that can be run does what its page says, against the local cloud."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.cli.local.up import COMMANDS_ENVIRONMENT
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, LaptopCloud
from infra.recordings import recording
from tests.support.documented_code import code_blocks, run_block

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if any(code_blocks(page))]


@pytest.fixture(scope="module")
def subscription(cloud: LaptopCloud) -> None:
    """What the page about subscriptions has its reader make."""
    subscriber = cloud.subscriber()
    name = subscriber.subscription_path(PROJECT, "my-transcripts")
    subscriber.create_subscription(name=name, topic=f"projects/{PROJECT}/topics/{RESULTS_TOPIC}")


@pytest.fixture
def clone(cloud: LaptopCloud, subscription: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a reader's clone, with a recording in it, and the environment of a deployment."""
    shutil.copy(recording("memo").path, tmp_path / "memo.wav")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    for name in COMMANDS_ENVIRONMENT:
        monkeypatch.setenv(name, cloud.environment[name])
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", cloud.environment["GOOGLE_APPLICATION_CREDENTIALS"])
    monkeypatch.setenv("USE_GPU_TRANSCRIPTION", "false")
    monkeypatch.setattr("dropscribe.job.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("infra.cli.jobs.status.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("examples.subscriber.main.PULL_SECONDS", 0.5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_code_to_run() -> None:
    assert {"tutorial.md", "python.md", "subscribe.md"} <= {page.name for page in PAGES}


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_code_of_a_page_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": "documented"}
    for block in code_blocks(page):
        run_block(block, names)
