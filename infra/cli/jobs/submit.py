"""`dropscribe submit`: recordings into a deployment's uploads bucket, by the client that programs use."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from dropscribe.client import Dropscribe
from dropscribe.uploads import UPLOAD_ERRORS
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import errors_in_one_line, message_of
from infra.cli.exit_codes import ExitCode, worst
from infra.cli.jobs.status import watch_jobs
from infra.cli.local.inputs import Recording, inputs_of
from infra.cli.local.speakers_beside import with_speakers_beside
from infra.cli.tables import output_console, plain_table, print_line, printable
from shared.errors import DropscribeError
from shared.options.model import UploadOptions


@dataclass(frozen=True)
class Submission:
    """What the command was asked for, besides its recordings."""

    state_bucket: str
    uploads_bucket: str
    folder: str
    options: UploadOptions
    wait: bool = False
    dry_run: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Submitted:
    """What became of one argument, or of a file below it."""

    source: str
    name: str | None = None
    """Of the upload."""
    job_id: str | None = None
    refused: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """As JSON has it."""
        return {"source": self.source, "upload": self.name, "job_id": self.job_id, "refused": self.refused}


@errors_in_one_line
def submit_all(sources: Sequence[str], wanted: Submission) -> int:
    """Submit each, and wait where that is wanted. The exit status: 4 where something was refused."""
    notes, storage = Console(stderr=True), storage_client()
    for bucket in (wanted.uploads_bucket, wanted.state_bucket):
        bucket_named(storage, bucket)
    client = Dropscribe(uploads=wanted.uploads_bucket, state=wanted.state_bucket, storage=storage)
    bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), console=notes)
    with bar:
        found = list(_submitted(client, sources, wanted, bar, notes))
    jobs = [one.job_id for one in found if one.job_id is not None]
    if wanted.as_json:
        sys.stdout.write(json.dumps({"jobs": [one.as_dict() for one in found]}) + "\n")
    else:
        _print(found, wanted)
    refused = {ExitCode.REJECTED} if not found or any(one.refused for one in found) else set()
    if wanted.wait and jobs:
        refused.add(ExitCode(watch_jobs(jobs, wanted.state_bucket, None, as_json=False, console=notes)))
    return worst(refused)


def _submitted(
    client: Dropscribe, sources: Sequence[str], wanted: Submission, bar: Progress, notes: Console
) -> Iterator[Submitted]:
    """Each as it is taken or refused; one never stops the others."""
    for source in sources:
        if source.startswith("gs://"):
            yield _one(client, source, source, PurePosixPath(source.partition("#")[0]).name, wanted, bar)
            continue
        inputs = inputs_of([source], None, command="submit")
        for note in inputs.notes:
            print_line(notes, note)
        for item in inputs.items:
            if isinstance(item, Recording):
                yield _one(client, item.argument, str(item.path), item.name, wanted, bar)
            else:
                yield Submitted(item.argument, refused=item.reason)


def _one(client: Dropscribe, argument: str, source: str, name: str, wanted: Submission, bar: Progress) -> Submitted:
    full = str(PurePosixPath(wanted.folder.strip("/")) / name) if wanted.folder.strip("/") else name
    is_upload = source.startswith(f"gs://{wanted.uploads_bucket}/")
    if wanted.dry_run:
        return Submitted(argument, full)
    task = bar.add_task(printable(argument))
    try:
        is_object = source.startswith("gs://")
        job = client.submit(
            source if is_object else Path(source),
            wanted.options if is_object else with_speakers_beside(wanted.options, Path(source)),
            name=None if is_upload else full,
            on_progress=lambda sent, size: bar.update(task, completed=sent, total=size),
        )
    except (DropscribeError, *UPLOAD_ERRORS) as error:
        return Submitted(argument, full, refused=message_of(error))
    finally:
        bar.remove_task(task)
    return Submitted(argument, full, job.id)


def _print(found: Sequence[Submitted], wanted: Submission) -> None:
    console, errors = output_console(), Console(stderr=True)
    taken = [one for one in found if one.refused is None]
    if taken:
        table = plain_table("job", "upload")
        for one in taken:
            table.add_row(one.job_id or "not submitted", Text(printable(one.name or "")))
        console.print(table)
    for one in found:
        if one.refused is not None:
            print_line(errors, f"{one.source}: rejected: {one.refused}")
    if taken and not wanted.wait and not wanted.dry_run:
        print_line(errors, "dropscribe watch JOB shows progress, dropscribe results JOB copies the transcript.")
