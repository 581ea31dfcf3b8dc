"""Word diffs of a job's runs, from the transcripts in the results bucket."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from google.cloud.storage import Client
from rich.console import Console

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.jobs.explain import job_id_of
from infra.cli.tables import print_line
from shared import objects
from shared.messages import TerminalMessage
from shared.state.jobs.store import JobStore
from shared.state.result_files import TRANSCRIPT_NAME
from shared.transcript.model import Transcript
from shared.transcript.timestamps import clock
from shared.transcript.word_diff import Change, WordDiff, word_diff


@dataclass(frozen=True)
class RunDiff:
    """A run's words against those of the last run before it that has any."""

    before: TerminalMessage
    after: TerminalMessage
    words: WordDiff

    def as_dict(self) -> dict[str, object]:
        """As JSON has it; times in seconds."""
        return {
            "job_id": self.after.job_id,
            "runs": [self.before.run, self.after.run],
            "models": [self.before.model, self.after.model],
            "words": self.words.words_before,
            "rate": self.words.rate,
            **{change.value: count for change, count in self.words.counts.items()},
            "changes": [
                {
                    "change": one.change.value,
                    "start": one.start,
                    "before": [word.text for word in one.before],
                    "after": [word.text for word in one.after],
                }
                for one in self.words.changes
            ],
        }


@errors_in_one_line
def print_diff(job: str, state_bucket: str, *, as_json: bool) -> int:
    """Compare a job's last two transcripts. The exit status: 0 where there are two."""
    client = storage_client()
    store = JobStore(bucket_named(client, state_bucket))
    found = store.find(job_id := job_id_of(client, job))
    if found is None:
        raise CommandError(f"gs://{state_bucket} has no job {job_id}.")
    compared = diff_of_run(client, store, job_id, found.record.run)
    if compared is None:
        raise CommandError("There are no two runs of the job with a transcript.")
    if as_json:
        sys.stdout.write(json.dumps(compared.as_dict()) + "\n")
    else:
        show_diff(compared, Console())
    return 0


def diff_of_run(client: Client, store: JobStore, job_id: str, run: int) -> RunDiff | None:
    """The last run up to `run` that has a transcript, against the one before that; None where there are no two."""
    found: list[tuple[TerminalMessage, Transcript]] = []
    for number in range(run, 0, -1):
        message = store.outcome(job_id, number)
        transcript = None if message is None else _transcript(client, message)
        if message is not None and transcript is not None:
            found.append((message, transcript))
        if len(found) == 2:
            (after, new), (before, old) = found
            return RunDiff(before, after, word_diff(old.words, new.words))
    return None


def _transcript(client: Client, message: TerminalMessage) -> Transcript | None:
    uri = message.results.get(TRANSCRIPT_NAME)
    if uri is None:
        return None
    bucket, name = objects.bucket_and_name(uri)
    stored = objects.read(client.bucket(bucket), name)
    return Transcript.model_validate_json(stored.data) if stored else None


def show_diff(compared: RunDiff, console: Console) -> None:
    """A line for each place."""
    print_line(console, headline(compared))
    for one in compared.words.changes:
        before, after = (" ".join(word.text for word in words) for words in (one.before, one.after))
        said = f"{before} -> {after}" if one.change is Change.CHANGED else before or after
        print_line(console, f"  {clock(one.start)}  {one.change.value:8}  {said}")


def headline(compared: RunDiff) -> str:
    """`run 2 (nova-3) against run 1 (parakeet): of 120 words 3 changed, 2 deleted, 1 inserted (5.0 %)`."""
    runs = " against ".join(f"run {one.run} ({one.model})" for one in (compared.after, compared.before))
    counts = compared.words.counts
    sums = ", ".join(f"{counts[one]} {one.value}" for one in (Change.CHANGED, Change.DELETED, Change.INSERTED))
    rate = "" if compared.words.rate is None else f" ({compared.words.rate:.1%})"
    return f"{runs}: of {compared.words.words_before} words {sums}{rate}"
