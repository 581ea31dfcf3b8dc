"""`dropscribe up`: watches a folder as the uploads bucket."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from google.api_core.exceptions import DeadlineExceeded
from rich.console import Console

from infra.cli.errors import CommandError, errors_in_one_line, reason_of
from infra.cli.local.run import path_conflict
from infra.cli.local.session import Session, session
from infra.cli.tables import outcome_table, print_line
from infra.emulators.cloud import UPLOADS
from shared.client import UPLOAD_ERRORS, drop, fetch_results, results_folder
from shared.enums import Privacy
from shared.messages import TerminalMessage
from shared.object_names import object_name
from shared.upload_options import UploadOptions

POLL_SECONDS = 1.0
RESULTS_FOLDER = "transcripts"
LOCAL_OPTIONS = UploadOptions(method="auto", privacy=Privacy.LOCAL)


class FileState(NamedTuple):
    """A file is uploaded when two scans find the same state: a copy in progress still grows."""

    size: int
    modified_ns: int


@dataclass(frozen=True)
class Scan:
    """What lies in a folder."""

    files: dict[Path, FileState]
    problems: dict[Path, str]
    """What cannot be uploaded, and why."""


@errors_in_one_line
def watch(folder: Path, model: str | None) -> int:
    """Upload every file that appears in `folder` or changes, and copy its results back, until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    if (conflict := path_conflict(RESULTS_FOLDER, folder)) is not None:
        raise CommandError(conflict)
    console = Console()
    with session(model) as running:
        print_line(console, f"Watching {folder} - results in {folder / RESULTS_FOLDER} - Ctrl-C stops.")
        before: dict[Path, FileState] = {}
        uploaded: dict[Path, FileState] = {}
        printed: dict[Path, str] = {}
        try:
            while True:
                found = scan(folder)
                problems = dict(found.problems)
                for path in unchanged(found.files, before, uploaded):
                    name = object_name(path.relative_to(folder))
                    try:
                        drop(running.storage.bucket(UPLOADS), path, name, LOCAL_OPTIONS)
                    except UPLOAD_ERRORS as error:
                        problems[path] = reason_of(error)
                        continue
                    uploaded[path] = found.files[path]
                    own = path.relative_to(folder).as_posix()
                    print_line(console, f"{own}: uploaded" + (f" as {name}" if name != own else ""))
                # What could not be uploaded is tried again with every scan.
                for path, why in problems.items():
                    if printed.get(path) != why:
                        print_line(console, f"{path.relative_to(folder).as_posix()}: rejected: {why}")
                before, printed = found.files, problems
                _fetch_outcomes(running, folder, console)
        except KeyboardInterrupt:
            console.print("Stopping.")
    return 0


def scan(folder: Path) -> Scan:
    """The files below `folder`, without hidden ones and results. Links are followed where they stay inside.

    Each folder is listed once, however many links lead to it, and first of all where it really is.
    """
    root, results = folder.resolve(), folder / RESULTS_FOLDER
    found = Scan({}, {})
    folders, listed = deque([folder]), set()
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
            if path.name.startswith(".") or path == results:
                continue
            try:
                if is_link := path.is_symlink():
                    _check_inside(path, root)
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


def _check_inside(link: Path, root: Path) -> None:
    """Raises OSError where a link leads out of the folder, into its results, or to nothing."""
    target = Path(os.path.realpath(link, strict=True))
    if not target.is_relative_to(root) or target.is_relative_to(root / RESULTS_FOLDER):
        raise OSError(errno.EPERM, "It is a link out of the folder, or to its results", str(link))


def unchanged(
    found: Mapping[Path, FileState], before: Mapping[Path, FileState], uploaded: Mapping[Path, FileState]
) -> list[Path]:
    """Files that did not change since the last scan and were not uploaded in this state."""
    return [path for path, state in found.items() if before.get(path) == state and uploaded.get(path) != state]


def _fetch_outcomes(running: Session, folder: Path, console: Console) -> None:
    began = time.monotonic()
    try:
        pulled = running.subscriber.pull(
            subscription=running.subscription, max_messages=100, timeout=POLL_SECONDS, retry=None
        )
    except DeadlineExceeded:
        return
    for one in pulled.received_messages:
        message = TerminalMessage.model_validate_json(one.message.data)
        try:
            fetch_results(running.storage, message, results_folder(folder / RESULTS_FOLDER, message))
        except OSError as error:
            # Not acknowledged, the message comes again.
            print_line(console, f"{message.upload.name}: its results cannot be written yet: {reason_of(error)}")
            continue
        running.subscriber.acknowledge(subscription=running.subscription, ack_ids=[one.ack_id])
        console.print(outcome_table([message]))
        if message.reason:
            print_line(console, f"{message.upload.name}: {message.reason}")
    time.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
