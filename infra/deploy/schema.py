"""Whether Pub/Sub takes outcomes on a topic with their schema: Pub/Sub itself is asked, before any depends on it."""

from __future__ import annotations

import subprocess
import sys

from infra.doctor.commands import Command
from shared.clock import now
from shared.enums import Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, event_id

DEFINITION = "terraform/schemas/outcome.avsc"


def outcome() -> TerminalMessage:
    """One with all that it can lack: the schema names less than any message has."""
    upload = Upload(bucket="uploads", name="a.mp3", generation=1)
    return TerminalMessage(
        event_id=event_id(upload.job_id),
        job_id=upload.job_id,
        upload=upload,
        outcome=Outcome.REJECTED,
        received_at=now(),
        finished_at=now(),
    )


def question(project: str, message: TerminalMessage) -> Command:
    """The command that fails where Pub/Sub would refuse the message."""
    return (
        *("gcloud", "pubsub", "schemas", "validate-message", f"--project={project}", "--type=avro"),
        *(f"--definition-file={DEFINITION}", "--message-encoding=json", f"--message={message.model_dump_json()}"),
    )


if __name__ == "__main__":
    sys.exit(subprocess.run(question(sys.argv[1], outcome())).returncode)
