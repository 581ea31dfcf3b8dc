"""`dropscribe status` and `watch`: how far jobs are, in the words that pages and subscribers see."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from dropscribe.client import Dropscribe
from dropscribe.errors import UnknownJob
from dropscribe.job import LOOK_SECONDS, Job
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.exit_codes import OUTCOME_CODES, ExitCode, worst
from infra.cli.tables import output_console, plain_table, print_line, printable
from shared.progress.describe import describe
from shared.progress.model import Progress


def open_client(state_bucket: str) -> Dropscribe:
    """A client that reads; it has no use of the uploads bucket's name. Raises CommandError."""
    storage = storage_client()
    bucket_named(storage, state_bucket)
    return Dropscribe(uploads=state_bucket, state=state_bucket, storage=storage)


def known_job(client: Dropscribe, address: str) -> Job:
    """Raises CommandError for what is no job's address."""
    try:
        return client.job(address)
    except UnknownJob as error:
        raise CommandError(error.reason) from None


@errors_in_one_line
def print_status(addresses: Sequence[str], state_bucket: str, *, as_json: bool) -> int:
    """The exit status: 1 where a job is not known."""
    client = open_client(state_bucket)
    found: list[Progress] = []
    unknown: list[str] = []
    for address in addresses:
        try:
            found.append(client.job(address).progress())
        except UnknownJob as error:
            unknown.append(error.reason)
    if as_json:
        jobs = [one.model_dump(mode="json") for one in found]
        sys.stdout.write(json.dumps({"jobs": jobs, "unknown": unknown}) + "\n")
    elif found:
        table = plain_table("job", "upload", "status")
        for one in found:
            table.add_row(one.job_id, Text(printable(one.upload.name)), Text(printable(describe(one))))
        output_console().print(table)
    for reason in unknown if not as_json else ():
        print_line(Console(stderr=True), reason)
    return ExitCode.ERROR if unknown else ExitCode.COMPLETED


@errors_in_one_line
def watch_jobs(
    addresses: Sequence[str],
    state_bucket: str,
    timeout: float | None,
    *,
    as_json: bool,
    console: Console | None = None,
) -> int:
    """Print every change until all have ended. The exit status: the worst outcome's; 1 after `timeout` seconds."""
    client, console = open_client(state_bucket), console or output_console()
    waiting = {job.id: job for job in (known_job(client, address) for address in addresses)}
    shown: dict[str, str] = {}
    codes: set[ExitCode] = set()
    ends = None if timeout is None else time.monotonic() + timeout
    while True:
        for job_id, job in list(waiting.items()):
            try:
                progress = job.progress()
            except UnknownJob:  # its event is on the way
                continue
            line = describe(progress)
            if shown.get(job_id) != line:
                shown[job_id] = line
                _print_change(progress, line, console, as_json=as_json)
            if progress.outcome is not None:
                codes.add(OUTCOME_CODES[progress.outcome])
                del waiting[job_id]
        if not waiting:
            return worst(codes)
        if ends is not None and time.monotonic() > ends:
            raise CommandError(f"{len(waiting)} of {len(addresses)} jobs have not ended within {timeout:g} s.")
        time.sleep(LOOK_SECONDS)


def _print_change(progress: Progress, line: str, console: Console, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(progress.model_dump_json() + "\n")
        sys.stdout.flush()
    else:
        print_line(console, f"{progress.upload.name}: {line}")
