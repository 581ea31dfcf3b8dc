"""`dropscribe explain`: one job's decision, quotes, bill and coverage, from the deployment's buckets."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass

from google.cloud.storage import Client
from pydantic import ValidationError
from rich.console import Console

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.tables import bill_table, print_line, quote_table, tracks_line
from shared import objects
from shared.media import Upload
from shared.messages import Decision, Receipt, TerminalMessage
from shared.state.jobs import JobRecord, JobStore
from shared.transcript.text import gap_mark

_JOB_ID = re.compile(r"[0-9a-f]{24}")


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
    found = store.load(job_id)
    if found is None:
        raise NotExplained(f"gs://{state_bucket} has no job {job_id}.")
    outcome = store.outcome(job_id, found.record.run)
    return Explained(found.record, outcome, _receipt(client, outcome))


def job_id_of(client: Client, job: str) -> str:
    """A job id as it is, or the id of an upload: `gs://BUCKET/NAME`, the newest generation, or `...#GENERATION`."""
    if _JOB_ID.fullmatch(job):
        return job
    bucket, name = objects.bucket_and_name(job)
    if not job.startswith("gs://") or not name:
        raise NotExplained(f"{job!r} is neither a job id (24 hex digits) nor gs://BUCKET/NAME.")
    plain, _, generation = name.rpartition("#")
    if plain and generation.isdecimal():
        return _upload(job, bucket, plain, generation).job_id
    blob = bucket_named(client, bucket).get_blob(name)
    if blob is None:
        raise NotExplained(f"{job} does not exist any more; use its job id, or its address with #GENERATION.")
    return _upload(job, bucket, name, blob.generation).job_id


def _upload(job: str, bucket: str, name: str, generation: str | int) -> Upload:
    try:
        return Upload(bucket=bucket, name=name, generation=int(generation))
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise NotExplained(f"{job} cannot be an upload: its {field} is not valid in Cloud Storage.") from None


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
