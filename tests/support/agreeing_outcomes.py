"""What must agree about uploads that have ended, whatever happened on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from shared.clock import now
from shared.media import Upload
from shared.messages import Receipt, TerminalMessage
from shared.objects import bucket_and_name
from shared.state.deployment import Deployment
from shared.state.ledger_entry import Entry, EntryState, month_of
from tests.support.loopback_cloud import STATE, LoopbackCloud


def disagreements(cloud: LoopbackCloud, services: Deployment, uploads: Iterable[Upload]) -> list[str]:
    """One outcome and event id an upload, the same bill on receipt, message and ledger, and nothing left behind.

    Takes every message that was published until now.
    """
    uploads = tuple(uploads)
    messages: dict[str, list[TerminalMessage]] = defaultdict(list)
    for message in cloud.terminal_messages():
        messages[message.job_id].append(message)
    entries = {entry.id: entry for entry in services.ledger.entries(month_of(now()))}
    found = [
        f"{upload.name}: {what}"
        for upload in uploads
        for what in _of_upload(cloud, services, upload, messages[upload.job_id], entries.get(upload.job_id))
    ]
    left = [name for name in cloud.names(STATE) if "/parts/" in name or name.startswith("open")]
    return [*found, *(f"left over: {name}" for name in left)]


def _of_upload(
    cloud: LoopbackCloud, services: Deployment, upload: Upload, messages: list[TerminalMessage], entry: Entry | None
) -> Iterator[str]:
    outcome = services.jobs.outcome(upload.job_id)
    if outcome is None:
        yield "no outcome"
        return
    if not messages or any(message != outcome for message in messages):
        yield f"{len(messages)} messages, not all of them the outcome"
    bucket, name = bucket_and_name(outcome.results["receipt.json"])
    receipt = Receipt.model_validate_json(cloud.storage.bucket(bucket).blob(name).download_as_bytes())
    if (receipt.bill, receipt.outcome) != (outcome.bill, outcome.outcome):
        said = f"{outcome.outcome}, ${outcome.bill.usd}"
        yield f"the receipt says {receipt.outcome}, ${receipt.bill.usd}; the outcome {said}"
    if entry is None or (entry.state, entry.usd) != (EntryState.BILLED, outcome.bill.usd):
        yield f"the ledger says {entry}, the outcome ${outcome.bill.usd}"
