"""The smoke test: a shipped recording, dropped into a deployment, must come back as its own words."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Client
from rich.console import Console

from dropscribe.outcomes import outcomes
from dropscribe.uploads import drop
from infra.cli.progress.transcription import RunProgress
from infra.cli.tables import bill_table, outcome_table, print_line
from infra.recordings import Recording, recording
from shared.enums import Outcome
from shared.messages import TerminalMessage
from shared.objects import bucket_and_name
from shared.state.jobs.progress import progress_of
from shared.state.jobs.record import JobRecord
from shared.state.jobs.store import JobStore
from shared.transcript.model import Transcript

SAMPLE = "memo.wav"
FOLDER = "smoke-test"
MIN_MATCHING_SHARE = 0.5
"""Of the recording's words. The voice is synthetic, and the deployment chooses the engine."""


class SmokeError(Exception):
    """The deployment did not transcribe the recording: why, and where to look."""


@dataclass(frozen=True)
class SmokeTarget:
    """Where a deployment is reached."""

    uploads: str
    state: str
    results_topic: str
    """Full name."""
    where_to_look: tuple[str, ...] = ()
    """Commands that show logs and executions."""


@dataclass(frozen=True)
class WaitLimits:
    """How long is waited, in seconds."""

    event: float = 180.0
    """A new trigger may miss events for two minutes, says Google. Then the recording is dropped once more."""
    drops: int = 3
    outcome: float = 1800.0
    """The first execution fetches a large image."""


def smoke_target(outputs: Mapping[str, Any], project: str) -> SmokeTarget:
    """From what `terraform output -json` prints."""
    values = {name: output["value"] for name, output in outputs.items()}
    function = values["functions"]["on_upload"]
    logs = f"gcloud logging read resource.labels.service_name={function} --project={project} --freshness=1h --limit=50"
    executions = [
        f"gcloud run jobs executions list --job={job} --region={region} --project={project}"
        for _, _, _, region, _, job in (name.split("/") for name in values["jobs"])
    ]
    return SmokeTarget(
        values["buckets"]["uploads"], values["buckets"]["state"], values["topics"]["results"], (logs, *executions)
    )


def smoke_test(
    storage: Client,
    subscriber: SubscriberClient,
    target: SmokeTarget,
    console: Console,
    limits: WaitLimits = WaitLimits(),
) -> TerminalMessage:
    """Drop the recording, wait for its outcome, print its bill. Raises SmokeError."""
    sample = recording(SAMPLE)
    message = _outcome(storage, subscriber, target, sample, console, limits)
    console.print(outcome_table([message]))
    console.print(bill_table(message.bill))
    if message.outcome is not Outcome.COMPLETED:
        raise _error(f"The recording ended as {message.outcome}: {message.reason}", target, message.job_id)
    address = message.results["transcript.json"]
    bucket, name = bucket_and_name(address)
    text = Transcript.model_validate_json(storage.bucket(bucket).blob(name).download_as_bytes()).text
    for line in (address, *text.strip().splitlines()):
        print_line(console, line)
    if (share := matching_share(text, sample.text)) < MIN_MATCHING_SHARE:
        raise _error(f"Only {share:.0%} of the recording's words are in its transcript.", target, message.job_id)
    return message


def matching_share(text: str, truth: str) -> float:
    """Share of the truth's words that stand in `text`, in their order; case and punctuation do not count."""
    said, recognized = _words(truth), _words(text)
    blocks = SequenceMatcher(None, said, recognized, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(said)


def _words(text: str) -> list[str]:
    return "".join(each if each.isalnum() else " " for each in text.lower()).split()


def _outcome(
    storage: Client, subscriber: SubscriberClient, target: SmokeTarget, sample: Recording, console: Console,
    limits: WaitLimits,
) -> TerminalMessage:  # fmt: skip
    store = JobStore(storage.bucket(target.state))
    name = f"{FOLDER}/{sample.path.name}"
    jobs: list[str] = []
    with _subscription(subscriber, target.results_topic) as subscription, RunProgress(console, [name]) as progress:
        for _ in range(limits.drops):
            jobs.append(drop(storage.bucket(target.uploads), sample.path, name).job_id)
            dropped = time.monotonic()
            try:
                for message in outcomes(subscriber, subscription, jobs, limits.outcome):
                    if message is not None:
                        progress.finish(message)
                        return message
                    if (record := _record(store, jobs)) is not None:
                        progress.update(progress_of(record))
                    elif time.monotonic() - dropped > limits.event:
                        break
            except TimeoutError as error:
                record = _record(store, jobs)
                known = "." if record is None else f": it is {record.state}. {record.last_error or ''}"
                raise _error(f"No outcome within {limits.outcome:g} s{known}", target, jobs[-1]) from error
    waited = f"within {limits.event:g} s each"
    raise _error(f"No event of {limits.drops} uploads reached the function {waited}.", target, None)


def _record(store: JobStore, jobs: Sequence[str]) -> JobRecord | None:
    """Of the last job that the function took."""
    taken = (job.record for job_id in reversed(jobs) if (job := store.load(job_id)) is not None)
    return next(taken, None)


def _error(why: str, target: SmokeTarget, job_id: str | None) -> SmokeError:
    explain = [] if job_id is None else [f"dropscribe explain {job_id} --bucket={target.state}"]
    return SmokeError("\n  ".join((f"{why}\nWhere to look:", *explain, *target.where_to_look, "docs/operations.md")))


@contextmanager
def _subscription(subscriber: SubscriberClient, topic: str) -> Iterator[str]:
    """A subscription of this test's own; one that a killed test leaves is deleted by Pub/Sub after 31 days."""
    name = topic.replace("/topics/", "/subscriptions/") + f"-smoke-test-{uuid.uuid4().hex[:8]}"
    subscriber.create_subscription(name=name, topic=topic)
    try:
        yield name
    finally:
        subscriber.delete_subscription(subscription=name)


def main(module: str, project: str) -> int:
    """Test the deployment whose Terraform folder is `module`."""
    printed = subprocess.run(("terraform", f"-chdir={module}", "output", "-json"), check=True, stdout=subprocess.PIPE)
    target = smoke_target(json.loads(printed.stdout), project)
    with closing(SubscriberClient()) as subscriber:
        try:
            smoke_test(Client(project=project), subscriber, target, Console())
        except SmokeError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
