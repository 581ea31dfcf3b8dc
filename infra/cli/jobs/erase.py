"""`dropscribe erase`: everything of one upload goes, and a receipt says what it was."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer
from pydantic import ValidationError
from rich.console import Console

from dropscribe.erasure import DeploymentNames, erase_job
from dropscribe.errors import UnknownJob
from dropscribe.job_ids import upload_at
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.exit_codes import ExitCode
from infra.cli.jobs.explain import job_id_of
from infra.cli.tables import output_console, print_line
from shared.operations.erasure_records import KEPT, ErasureReceipt, erasure_receipt
from shared.state.jobs.store import JobStore


@dataclass(frozen=True)
class Erasure:
    """What the command was asked for."""

    job: str
    names: DeploymentNames
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False


@errors_in_one_line
def erase_one(wanted: Erasure) -> int:
    """The exit status: 0 where it is erased, or would be."""
    console = Console(stderr=True) if wanted.as_json else output_console()
    client, names = storage_client(), wanted.names
    state = bucket_named(client, names.state_bucket)
    bucket_named(client, names.results_bucket)
    job_id = job_id_of(client, wanted.job)
    upload, is_unreadable = None, False
    try:
        found = JobStore(state).load(job_id)
        upload = found.record.upload if found else None
    except ValidationError:
        is_unreadable = True
    if upload is None and wanted.job.startswith("gs://"):
        try:
            upload = upload_at(client, wanted.job)
        except UnknownJob as error:
            raise CommandError(error.reason) from None
    if upload is None and not is_unreadable and erasure_receipt(state, job_id) is None:
        raise CommandError(f"gs://{names.state_bucket} has no job {job_id}.")
    what = upload.uri if upload else f"job {job_id}"
    if wanted.dry_run:
        print_line(console, f"{what} would be erased: the upload, its results and records, its names in the ledger.")
        return ExitCode.COMPLETED
    if not wanted.yes:
        print_line(console, f"{what}: the upload, its results and records go for good.")
        typer.confirm("Erase them?", abort=True)
    receipt = erase_job(names, job_id, upload)
    if wanted.as_json:
        sys.stdout.write(receipt.model_dump_json() + "\n")
    else:
        _print(receipt, console)
    return ExitCode.COMPLETED


def _print(receipt: ErasureReceipt, console: Console) -> None:
    parts = (("upload", receipt.upload), ("results", receipt.results), ("state", receipt.state))
    counts = ", ".join(f"{part.objects} of {name} ({part.bytes:,} bytes)" for name, part in parts)
    print_line(console, f"Erased: {counts}; {receipt.ledger_lines} lines of the ledger have no name any more.")
    if receipt.voices:
        print_line(console, f"Kept voices lost {receipt.voices} that were heard in it.")
    if not receipt.complete:
        print_line(console, f"A worker had the job: what it still stores goes after {receipt.again_after:%H:%M} UTC.")
    for kept in KEPT:
        print_line(console, f"Kept: {kept}")
