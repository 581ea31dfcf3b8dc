"""`dropscribe up`: watches a folder as the uploads bucket."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from google.api_core.exceptions import DeadlineExceeded
from rich.console import Console

from dropscribe.result_files import fetch_results, results_folder
from dropscribe.uploads import UPLOAD_ERRORS, drop
from infra.cli.errors import CommandError, errors_in_one_line, reason_of
from infra.cli.live.server import LivePage
from infra.cli.local.folders import FileState, scan
from infra.cli.local.inputs import path_conflict
from infra.cli.local.models import chosen_model
from infra.cli.local.session import Session, check_machine_and_settings, session
from infra.cli.tables import outcome_table, print_line
from infra.emulators.cloud import UPLOADS, CloudOptions
from shared.enums import Privacy
from shared.messages import TerminalMessage
from shared.object_names import object_name
from shared.options.model import UploadOptions

POLL_SECONDS = 1.0
RESULTS_FOLDER = "transcripts"
LOCAL_OPTIONS = UploadOptions(method="auto", privacy=Privacy.LOCAL)


COMMANDS_ENVIRONMENT = (
    *("GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"),
    *("UPLOADS_BUCKET", "RESULTS_BUCKET", "STATE_BUCKET"),
    *("CPU_JOB", "CPU_JOB_VCPU", "CPU_JOB_MEMORY_GIB", "JOB_GPU", "JOB_VCPU", "JOB_MEMORY_GIB"),
    *("TRANSCRIPTION_METHOD", "DEEPGRAM_API_KEY", "RECONCILE_URL"),
)
"""By which other commands reach this cloud, and quote as it does."""


@errors_in_one_line
def watch(folder: Path, model: str | None, environment_file: Path | None = None, port: int = 0) -> int:
    """Upload every file that appears in `folder` or changes, and copy its results back, until Ctrl-C.

    `environment_file`: written for a shell to read, so that other commands reach the same servers. `port`: of the page
    for a browser; 0 for any that is free.
    """
    check_machine_and_settings(CloudOptions())
    folder.mkdir(parents=True, exist_ok=True)
    if (conflict := path_conflict(RESULTS_FOLDER, folder)) is not None:
        raise CommandError(conflict)
    console = Console()
    with session(chosen_model(model, console), api=True) as running, _live_page(running, port) as page:
        if environment_file is not None:
            environment_file.write_text(exports(running.cloud.environment))
        print_line(console, f"Open {page.url} to drop recordings there, and to see how they go.")
        print_line(console, f"HTTP API: {running.cloud.api_url} (docs/api.md)")
        print_line(console, f"Watching {folder} - results in {folder / RESULTS_FOLDER} - Ctrl-C stops.")
        before: dict[Path, FileState] = {}
        uploaded: dict[Path, FileState] = {}
        printed: dict[Path, str] = {}
        unfinished: set[str] = set()
        """Names of objects without an outcome."""
        try:
            while True:
                found = scan(folder, folder / RESULTS_FOLDER)
                problems = dict(found.problems)
                for path in unchanged(found.files, before, uploaded):
                    name = object_name(path.relative_to(folder))
                    try:
                        drop(running.storage.bucket(UPLOADS), path, name, LOCAL_OPTIONS)
                    except UPLOAD_ERRORS as error:
                        problems[path] = reason_of(error)
                        continue
                    uploaded[path] = found.files[path]
                    unfinished.add(name)
                    own = path.relative_to(folder).as_posix()
                    print_line(console, f"{own}: uploaded" + (f" as {name}" if name != own else ""))
                # What could not be uploaded is tried again with every scan.
                for path, why in problems.items():
                    if printed.get(path) != why:
                        print_line(console, f"{path.relative_to(folder).as_posix()}: rejected: {why}")
                before, printed = found.files, problems
                unfinished -= _fetch_outcomes(running, folder, console, page)
        except KeyboardInterrupt:
            left = (
                f" Not transcribed yet, and begun anew next time: {', '.join(sorted(unfinished))}" if unfinished else ""
            )
            print_line(console, f"Stopping.{left}")
    return 0


def exports(environment: Mapping[str, str]) -> str:
    """What COMMANDS_ENVIRONMENT names, as lines that a shell reads."""
    return "".join(f"export {name}={shlex.quote(environment[name])}\n" for name in COMMANDS_ENVIRONMENT)


def unchanged(
    found: Mapping[Path, FileState], before: Mapping[Path, FileState], uploaded: Mapping[Path, FileState]
) -> list[Path]:
    """Files that did not change since the last scan and were not uploaded in this state."""
    return [path for path, state in found.items() if before.get(path) == state and uploaded.get(path) != state]


def _live_page(running: Session, port: int) -> LivePage:
    try:
        return LivePage(running.storage, LOCAL_OPTIONS, port)
    except OSError as error:
        raise CommandError(f"The page cannot be served on port {port}: {reason_of(error)}.") from None


def _fetch_outcomes(running: Session, folder: Path, console: Console, page: LivePage) -> set[str]:
    """Copy the results of what has ended by now; the names of those."""
    began = time.monotonic()
    try:
        pulled = running.subscriber.pull(
            subscription=running.subscription, max_messages=100, timeout=POLL_SECONDS, retry=None
        )
    except DeadlineExceeded:
        return set()
    ended = set()
    for one in pulled.received_messages:
        message = TerminalMessage.model_validate_json(one.message.data)
        page.add_outcome(message)
        try:
            fetch_results(running.storage, message, results_folder(folder / RESULTS_FOLDER, message))
        except OSError as error:
            # Not acknowledged, the message comes again.
            print_line(console, f"{message.upload.name}: its results cannot be written yet: {reason_of(error)}")
            continue
        running.subscriber.acknowledge(subscription=running.subscription, ack_ids=[one.ack_id])
        ended.add(message.upload.name)
        console.print(outcome_table([message]))
        if message.reason:
            print_line(console, f"{message.upload.name}: {message.reason}")
    time.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
    return ended
