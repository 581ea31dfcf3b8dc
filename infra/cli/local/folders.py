"""What lies in a folder: for `dropscribe up`, which watches it, and `dropscribe run`, which takes all of it once."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from infra.cli.errors import reason_of


class FileState(NamedTuple):
    """A file is uploaded when two scans find the same state: a copy in progress still grows."""

    size: int
    modified_ns: int


@dataclass
class Scan:
    """What lies in a folder."""

    files: dict[Path, FileState] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)
    """What cannot be uploaded, and why."""
    hidden: int = 0
    """Files and folders whose names begin with a dot: they are left out."""


def scan(folder: Path, results: Path | None) -> Scan:
    """The files below `folder`, however deep, without hidden ones and `results`. Links are followed that stay inside.

    Each folder is listed once, however many links lead to it, and first of all where it really is.
    """
    root, real_results = folder.resolve(), results.resolve() if results is not None else None
    found = Scan()
    folders, listed = deque([folder]), {real_results} - {root, None}
    while folders:
        parent = folders.popleft()
        try:
            if (real := parent.resolve()) in listed:
                continue
            listed.add(real)
            entries = sorted(parent.iterdir())
        except OSError as error:
            found.problems[parent] = reason_of(error)
            continue
        for path in entries:
            if path.name.startswith("."):
                found.hidden += 1
                continue
            if path == results:
                continue
            try:
                if is_link := path.is_symlink():
                    _check_inside(path, root, real_results)
                status = path.stat()
            except OSError as error:
                if os.path.lexists(path):  # else it was moved away since it was listed
                    found.problems[path] = reason_of(error)
                continue
            if not stat.S_ISDIR(status.st_mode):
                found.files[path] = FileState(status.st_size, status.st_mtime_ns)
            elif is_link:
                folders.append(path)
            else:
                folders.appendleft(path)
    return found


def _check_inside(link: Path, root: Path, results: Path | None) -> None:
    """Raises OSError where a link leads out of the folder, into its results, or to nothing."""
    target = Path(os.path.realpath(link, strict=True))
    if not target.is_relative_to(root) or (results is not None and target.is_relative_to(results)):
        raise OSError(errno.EPERM, "It is a link out of the folder, or to its results", str(link))
