"""`dropscribe explain`: one job's decision, quotes, bill and coverage, from the deployment's buckets."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from google.cloud.storage import Client
from rich.console import Console

from dropscribe.errors import UnknownJob
from dropscribe.job_ids import job_id_of as client_job_id_of
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.tables import bill_table, print_line, quote_table, tracks_line
from shared import objects
from shared.messages import Decision, Receipt, TerminalMessage
from shared.state.jobs.record import JobRecord
from shared.state.jobs.store import JobStore
from shared.transcript.text import gap_mark


@dataclass(frozen=True)
class Explained:
    """What the buckets hold of one job."""

    record: JobRecord
    outcome: TerminalMessage | None
    receipt: Receipt | None

    @property
    def decision(self) -> Decision | None:
        """The last decision."""
        return self.outcome.decision if self.outcome else self.record.decision


class NotExplained(CommandError):
    """There is no such job: the command's answer, on standard output."""


@errors_in_one_line
def print_explanation(job: str, state_bucket: str, *, as_json: bool) -> int:
    """Explain a job by its id or its upload's `gs://` address. The exit status: 0 where the job was found."""
    console = Console(stderr=as_json)
    try:
        explained = look_up(storage_client(), state_bucket, job)
    except NotExplained as error:
        print_line(console, str(error))
        return error.code
    if as_json:
        sys.stdout.write(json.dumps(as_dict(explained)) + "\n")
    else:
        _print(explained, console)
    return 0


def look_up(client: Client, state_bucket: str, job: str) -> Explained:
    """A job's record, and outcome and receipt of its last run where that has them.

    Raises NotExplained, and CommandError for a bucket that cannot be.
    """
    job_id, store = job_id_of(client, job), JobStore(bucket_named(client, state_bucket))
    found = store.find(job_id)
    if found is None:
        raise NotExplained(f"gs://{state_bucket} has no job {job_id}.")
    outcome = store.outcome(job_id, found.record.run)
    return Explained(found.record, outcome, _receipt(client, outcome))


def job_id_of(client: Client, job: str) -> str:
    """As the client's `job_id_of`. Raises NotExplained, and CommandError for a bucket that cannot be."""
    if job.startswith("gs://"):
        bucket_named(client, objects.bucket_and_name(job)[0])
    try:
        return client_job_id_of(client, job)
    except UnknownJob as error:
        raise NotExplained(error.reason) from None


def _receipt(client: Client, outcome: TerminalMessage | None) -> Receipt | None:
    if outcome is None or (uri := outcome.results.get("receipt.json")) is None:
        return None
    bucket, name = objects.bucket_and_name(uri)
    stored = objects.read(client.bucket(bucket), name)
    return Receipt.model_validate_json(stored.data) if stored else None


def as_dict(explained: Explained) -> dict[str, object]:
    """The explanation as JSON has it."""
    return {
        "job_id": explained.record.upload.job_id,
        "record": explained.record.model_dump(mode="json"),
        "outcome": explained.outcome.model_dump(mode="json") if explained.outcome else None,
        "receipt": explained.receipt.model_dump(mode="json") if explained.receipt else None,
    }


def _print(explained: Explained, console: Console) -> None:
    record, outcome, decision = explained.record, explained.outcome, explained.decision
    state = outcome.outcome.value if outcome else f"{record.state.value}, not ended yet"
    print_line(console, record.upload.uri)
    run = f", run {record.run} (${record.earlier_usd:.5f} before)" if record.run > 1 else ""
    console.print(f"job {record.upload.job_id}{run}: {state}", markup=False, highlight=False)
    reason = outcome.reason if outcome else record.last_error
    if reason:
        print_line(console, reason)
    tracks = outcome.tracks if outcome else record.media.transcript_tracks() if record.media else ()
    if (line := tracks_line(tracks)) is not None:
        print_line(console, line)
    if decision is not None:
        console.print()
        print_line(console, f"{decision.label} ({decision.rule}): {decision.reason}")
        if decision.quotes:
            console.print(quote_table([("", decision)]))
    if outcome is not None:
        _print_outcome(outcome, explained.receipt, console)


def _print_outcome(outcome: TerminalMessage, receipt: Receipt | None, console: Console) -> None:
    console.print(f"\nBill: ${outcome.bill.usd:.5f}{_comparison(outcome)}", highlight=False)
    if outcome.bill.items:
        console.print(bill_table(outcome.bill))
    if receipt is not None and receipt.execution is not None:
        print_line(console, f"Execution: {receipt.execution}")
    if outcome.coverage is not None:
        covered, speech = outcome.coverage.covered_seconds, outcome.coverage.speech_seconds
        console.print(f"\nCoverage: {covered:.1f} of {speech:.1f} s of speech have words.", highlight=False)
        for gap in outcome.coverage.gaps:
            print_line(console, gap_mark(gap))
        if more := outcome.coverage.gap_count - len(outcome.coverage.gaps):
            console.print(f"... and {more} more gaps; transcript.json lists all of them.", highlight=False)


def _comparison(outcome: TerminalMessage) -> str:
    """The prediction, and what Deepgram would have cost."""
    quote = outcome.decision.quote if outcome.decision else None
    predicted = f", predicted ${quote.bill.usd:.5f}" if quote else ""
    return predicted + (f", at Deepgram ${outcome.saving.deepgram_usd:.5f}" if outcome.saving else "")
