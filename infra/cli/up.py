"""`dropscribe up`: watches a folder as the uploads bucket."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from google.api_core.exceptions import DeadlineExceeded
from rich.console import Console

from infra.cli.session import Session, session
from infra.cli.tables import outcome_table
from infra.emulators.cloud import UPLOADS
from shared.client import drop, fetch_results, results_folder
from shared.messages import TerminalMessage
from shared.upload_options import Privacy, UploadOptions

POLL_SECONDS = 1.0
RESULTS_FOLDER = "transcripts"
LOCAL_OPTIONS = UploadOptions(method="auto", privacy=Privacy.LOCAL)


class FileState(NamedTuple):
    """A file is uploaded when two scans find the same state: a copy in progress still grows."""

    size: int
    modified_ns: int


Scan = dict[Path, FileState]
"""The files of a folder with their states."""


def watch(folder: Path, model: str | None) -> int:
    """Upload every file that appears in `folder` or changes, and copy its results back, until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with session(model) as running:
        console.print(f"Watching {folder} - results in {folder / RESULTS_FOLDER} - Ctrl-C stops.", highlight=False)
        before: Scan = {}
        uploaded: Scan = {}
        try:
            while True:
                found = scan(folder)
                for path in unchanged(found, before, uploaded):
                    name = path.relative_to(folder).as_posix()
                    uploaded[path] = found[path]
                    try:
                        drop(running.storage.bucket(UPLOADS), path, name, LOCAL_OPTIONS)
                    except OSError as error:
                        # Removed again, or not readable.
                        console.print(f"{name}: {error.strerror}", markup=False, highlight=False)
                        continue
                    console.print(f"{name}: uploaded", markup=False, highlight=False)
                before = found
                _fetch_outcomes(running, folder, console)
        except KeyboardInterrupt:
            console.print("Stopping.")
    return 0


def scan(folder: Path) -> Scan:
    """The files below `folder`, without hidden ones and results."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if parts[0] == RESULTS_FOLDER or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        with suppress(FileNotFoundError):  # moved away since it was listed
            stat = path.stat()
            found[path] = FileState(stat.st_size, stat.st_mtime_ns)
    return found


def unchanged(found: Scan, before: Scan, uploaded: Scan) -> list[Path]:
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
        fetch_results(running.storage, message, results_folder(folder / RESULTS_FOLDER, message))
        running.subscriber.acknowledge(subscription=running.subscription, ack_ids=[one.ack_id])
        console.print(outcome_table([message]))
        if message.reason:
            console.print(message.reason, markup=False, highlight=False)
    time.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
