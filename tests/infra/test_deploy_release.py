"""The name of a checkout's release, against real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.deploy.release import NoCheckoutError, checkout
from tests.support.waiting import PATIENCE


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit with one file, and a rule for what git ignores."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "main.py").write_text("one")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(repository: Path) -> None:
    (repository / "ignored.log").touch()
    here = checkout(repository)
    assert here.changes is None
    assert here.release == here.commit
    assert len(here.commit) == 12


def test_the_same_changes_have_the_same_name_and_others_another(repository: Path) -> None:
    (repository / "main.py").write_text("two")
    changed = checkout(repository).release
    assert "-dirty-" in changed
    assert checkout(repository).release == changed
    (repository / "new.py").write_text("three")
    added = checkout(repository).release
    (repository / "new.py").write_text("four")
    assert len({changed, added, checkout(repository).release}) == 3


def test_a_staged_change_is_a_change(repository: Path) -> None:
    (repository / "main.py").write_text("two")
    git(repository, "add", "main.py")
    assert checkout(repository).changes is not None


def test_a_folder_without_a_commit_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(NoCheckoutError, match="not a git checkout"):
        checkout(tmp_path)
    git(tmp_path, "init", "--quiet")
    with pytest.raises(NoCheckoutError, match="with a commit"):
        checkout(tmp_path)
