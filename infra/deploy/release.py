"""The release that a checkout is: its commit, and a digest of what was changed since."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMMIT_CHARACTERS = 12
DIGEST_CHARACTERS = 8
GIT_SECONDS = 60.0


class NoCheckoutError(Exception):
    """The folder is not a git checkout with a commit."""


@dataclass(frozen=True)
class Checkout:
    """A commit, and what is not in it."""

    commit: str
    changes: str | None = None
    """Digest of the uncommitted changes; None: there are none."""

    @property
    def release(self) -> str:
        """The same name for the same content, so that a deployment can be run again, and no name twice."""
        return self.commit if self.changes is None else f"{self.commit}-dirty-{self.changes}"


def checkout(folder: Path) -> Checkout:
    """What `folder` is a checkout of. Raises NoCheckoutError."""
    try:
        commit = _git(folder, "rev-parse", f"--short={COMMIT_CHARACTERS}", "HEAD").decode().strip()
        changed = _git(folder, "diff", "--binary", "HEAD")
        untracked = _git(folder, "ls-files", "--others", "--exclude-standard", "-z").split(b"\0")
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoCheckoutError(f"{folder} is not a git checkout with a commit, which would name the release.") from error
    names = sorted(name.decode() for name in untracked if name)
    if not changed and not names:
        return Checkout(commit)
    digest = hashlib.sha256(changed)
    for name in names:
        content = (folder / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Checkout(commit, digest.hexdigest()[:DIGEST_CHARACTERS])


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ("git", "-C", str(folder), *arguments), check=True, capture_output=True, timeout=GIT_SECONDS
    ).stdout
