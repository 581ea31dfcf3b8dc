"""A Cloud Run function with a Pub/Sub trigger on the topic of results: it logs what needs a person."""

from __future__ import annotations

import base64
import json

import functions_framework
from cloudevents.http import CloudEvent

NEEDS_A_PERSON = {"completed_with_gaps", "failed", "rejected"}


@functions_framework.cloud_event
def on_transcript(event: CloudEvent) -> None:
    """One outcome. Returning acknowledges it; an exception has it delivered again."""
    outcome = json.loads(base64.b64decode(event.data["message"]["data"]))
    if outcome["outcome"] not in NEEDS_A_PERSON:
        return
    coverage = outcome.get("coverage") or {"gap_seconds": None}
    # One line of JSON is a structured log entry, of which Cloud Monitoring can alert.
    print(
        json.dumps(
            {
                "severity": "WARNING",
                "message": f"{outcome['upload']['name']}: {outcome['outcome']}: {outcome['reason']}",
                "job_id": outcome["job_id"],
                "gap_seconds": coverage["gap_seconds"],
                "usd": outcome["bill"]["usd"],
            }
        )
    )
