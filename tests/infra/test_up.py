"""What `dropscribe up` finds in its folder: files, links that stay inside, and why others are not uploaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.local.folders import scan
from infra.cli.main import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, beside a secret one that is none of its business."""
    watched = tmp_path / "watched"
    (watched / "calls").mkdir(parents=True)
    (watched / "calls" / "a.mp3").write_bytes(b"a")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.mp3").write_bytes(b"secret")
    return watched


def found(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Paths of files, and reasons by path, below the folder."""
    seen = scan(folder, folder / "transcripts")
    return (
        {path.relative_to(folder).as_posix() for path in seen.files},
        {path.relative_to(folder).as_posix(): why for path, why in seen.problems.items()},
    )


def test_no_link_leads_out_of_the_folder(folder: Path) -> None:
    (folder / "file.mp3").symlink_to("../secret/key.mp3")
    (folder / "absolute.mp3").symlink_to(folder.parent / "secret" / "key.mp3")
    (folder / "dir").symlink_to("../secret")
    (folder / "calls" / "chain.mp3").symlink_to("../file.mp3")
    (folder / "beside").symlink_to(folder.parent)
    files, problems = found(folder)
    assert files == {"calls/a.mp3"}
    assert set(problems) == {"file.mp3", "absolute.mp3", "dir", "calls/chain.mp3", "beside"}
    assert all("link out of the folder" in why for why in problems.values())


def test_links_that_stay_inside_are_followed_and_each_folder_is_listed_once(folder: Path) -> None:
    (folder / ".store").mkdir()
    (folder / ".store" / "b.mp3").write_bytes(b"b")
    (folder / "stored").symlink_to(".store")
    (folder / "again").symlink_to("calls")
    (folder / "calls" / "up").symlink_to("..")
    (folder / "linked.mp3").symlink_to("calls/a.mp3")
    assert found(folder) == ({"calls/a.mp3", "stored/b.mp3", "linked.mp3"}, {})


def test_links_to_results_to_nothing_and_to_themselves_are_rejected(folder: Path) -> None:
    (folder / "transcripts" / "a.mp3").mkdir(parents=True)
    (folder / "transcripts" / "a.mp3" / "transcript.txt").touch()
    (folder / "results").symlink_to("transcripts/a.mp3")
    (folder / "nothing.mp3").symlink_to("gone.mp3")
    (folder / "loop.mp3").symlink_to("loop.mp3")
    files, problems = found(folder)
    assert files == {"calls/a.mp3"}
    assert set(problems) == {"results", "nothing.mp3", "loop.mp3"}


def test_a_folder_that_is_a_link_itself_is_watched(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert found(tmp_path / "link") == ({"calls/a.mp3"}, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_a_line(folder: Path) -> None:
    (folder / "calls").chmod(0)
    assert found(folder) == (set(), {"calls": "Permission denied"})


def test_results_that_cannot_be_written_are_said_before_anything_starts(folder: Path) -> None:
    (folder / "transcripts").touch()
    done = CliRunner().invoke(app, ["up", str(folder)])
    assert done.exit_code == 1
    assert "has to be the folder of the results" in done.output
    assert done.output.count("\n") == 1
