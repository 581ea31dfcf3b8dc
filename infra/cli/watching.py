"""`dropscribe up`: a folder watched as the uploads bucket."""

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

LOOK_SECONDS = 1.0
RESULTS_FOLDER = "transcripts"
ON_THIS_MACHINE = UploadOptions(method="auto", privacy=Privacy.LOCAL)


class Seen(NamedTuple):
    """A file's state; it is dropped when two looks agree, for a copy in progress still grows."""

    size: int
    modified_ns: int


def watch(folder: Path, model: str | None) -> int:
    """Upload every file that appears in `folder` or changes, and copy its results back, until Ctrl-C."""
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    with session(model) as running:
        console.print(f"Watching {folder} - results in {folder / RESULTS_FOLDER} - Ctrl-C stops.", highlight=False)
        before: dict[Path, Seen] = {}
        dropped: dict[Path, Seen] = {}
        try:
            while True:
                found = look(folder)
                for path in settled(found, before, dropped):
                    name = path.relative_to(folder).as_posix()
                    dropped[path] = found[path]
                    try:
                        drop(running.storage.bucket(UPLOADS), path, name, ON_THIS_MACHINE)
                    except OSError as error:
                        # Gone again, or not ours to read.
                        console.print(f"{name}: {error.strerror}", markup=False, highlight=False)
                        continue
                    console.print(f"{name}: uploaded", markup=False, highlight=False)
                before = found
                _collect(running, folder, console)
        except KeyboardInterrupt:
            console.print("Stopping.")
    return 0


def look(folder: Path) -> dict[Path, Seen]:
    """The files below `folder`, but for hidden ones and results."""
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if parts[0] == RESULTS_FOLDER or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        with suppress(FileNotFoundError):  # moved away since it was listed
            stat = path.stat()
            found[path] = Seen(stat.st_size, stat.st_mtime_ns)
    return found


def settled(found: dict[Path, Seen], before: dict[Path, Seen], dropped: dict[Path, Seen]) -> list[Path]:
    """Files that did not change since the last look and were not dropped as they are."""
    return [path for path, seen in found.items() if before.get(path) == seen and dropped.get(path) != seen]


def _collect(running: Session, folder: Path, console: Console) -> None:
    began = time.monotonic()
    try:
        pulled = running.subscriber.pull(
            subscription=running.subscription, max_messages=100, timeout=LOOK_SECONDS, retry=None
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
    time.sleep(max(0.0, LOOK_SECONDS - (time.monotonic() - began)))
