"""`dropscribe rerun`: choose jobs, quote, ask, begin their next runs, and wait for them where that is wanted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

import typer
from google.cloud.storage import Client
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.estimate import PredictedDeployment
from infra.cli.exit_codes import OUTCOME_CODES, ExitCode, worst
from infra.cli.jobs.explain import job_id_of
from infra.cli.reruns.diff import RunDiff, diff_of_run, headline, show_diff
from infra.cli.tables import outcome_table, output_console, plain_table, print_line, printable
from shared import objects
from shared.costs.prices import UnknownPrice
from shared.enums import Outcome
from shared.errors import Rejected, validation_message
from shared.messages import Decision, TerminalMessage
from shared.operations.ended_jobs import ended_since, uploads_below
from shared.operations.rerun import RerunRefused, RerunRequest, begin_rerun, planned_rerun, requested_model
from shared.progress.describe import rough_duration
from shared.state.jobs.record import JobRecord, RequestedModel
from shared.state.jobs.store import JobStore
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Router

THREADS = 8
"""Jobs that are looked at, and begun, at once."""

LOOK_SECONDS = 2.0
"""How often outcomes are looked for."""


@dataclass(frozen=True)
class Rerun:
    """What the command was asked for."""

    state_bucket: str
    job: str | None = None
    failed_since: datetime | None = None
    prefix: str | None = None
    """`gs://BUCKET/PREFIX`"""
    model: str | None = None
    force: bool = False
    dry_run: bool = False
    yes: bool = False
    wait: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Candidate:
    """One job that was asked for."""

    job_id: str
    name: str
    planned: JobRecord | None = None
    """With which it is run again; None: it is not."""
    decision: Decision | None = None
    """Predicted; None where nobody has inspected the upload yet."""
    refused: str | None = None
    """Why it is not run again."""
    outcome: TerminalMessage | None = None
    """Of the new run, where that was waited for."""
    diff: RunDiff | None = None

    @property
    def usd(self) -> float:
        """Predicted cost of the whole upload; what the failed run had stored is not paid again."""
        quote = self.decision.quote if self.decision else None
        return quote.bill.usd if quote else 0.0


@errors_in_one_line
def run_again(wanted: Rerun) -> int:
    """Run jobs again. The exit status: 0 where all that were asked for began and, where waited for, completed."""
    console = Console(stderr=True) if wanted.as_json else output_console()
    client = storage_client()
    jobs, predicted = JobStore(bucket_named(client, wanted.state_bucket)), PredictedDeployment.of_environment()
    model = _model(wanted, predicted)
    request = RerunRequest(model, force=wanted.force)
    with ThreadPoolExecutor(THREADS) as threads:
        selected = _selected(client, jobs, wanted)
        found = list(threads.map(lambda one: _candidate(jobs, one[0], one[1], request, predicted), selected))
    chosen = [one for one in found if one.planned is not None]
    if not wanted.as_json:
        _print(found, console)
    if not wanted.dry_run and chosen:
        if not wanted.yes and (wanted.model is not None or len(chosen) > 1):
            costs = f" for about ${sum(one.usd for one in chosen):.4f}"
            typer.confirm(f"Run {len(chosen)} {_jobs(chosen)} again{costs}?", abort=True)
        with ThreadPoolExecutor(THREADS) as threads:
            found = list(threads.map(lambda one: _begun(client, jobs, one, request), found))
        if wanted.wait:
            found = list(_ended(client, jobs, found, console))
    if wanted.as_json:
        sys.stdout.write(json.dumps(_as_dict(found, begun=not wanted.dry_run)) + "\n")
    else:
        _print_end(found, console, wanted)
    return _exit_code(found, wanted)


def _model(wanted: Rerun, predicted: PredictedDeployment) -> RequestedModel | None:
    if wanted.model is None:
        return None
    settings, prices = predicted.settings, predicted.prices
    return requested_model(wanted.model, settings.deepgram_model, prices.deepgram_models)


def _selected(client: Client, jobs: JobStore, wanted: Rerun) -> Iterator[tuple[str, str]]:
    """Ids of the jobs that were asked for, each with its upload's address."""
    if wanted.job is not None:
        job_id = job_id_of(client, wanted.job)
        found = jobs.find(job_id)
        yield job_id, found.record.upload.uri if found else wanted.job
        return
    bucket, below = objects.bucket_and_name(wanted.prefix or "")
    if wanted.prefix is not None and not wanted.prefix.startswith("gs://"):
        raise CommandError(f"--prefix {wanted.prefix} is not an address like gs://BUCKET/PREFIX.", ExitCode.USAGE)
    if wanted.failed_since is None:
        for upload in uploads_below(bucket_named(client, bucket), below):
            yield upload.job_id, upload.uri
        return
    for message in ended_since(bucket_named(client, wanted.state_bucket), wanted.failed_since, {Outcome.FAILED}):
        upload = message.upload
        if wanted.prefix is None or (upload.bucket == bucket and upload.name.startswith(below)):
            yield upload.job_id, upload.uri


def _candidate(
    jobs: JobStore, job_id: str, name: str, request: RerunRequest, predicted: PredictedDeployment
) -> Candidate:
    candidate = Candidate(job_id, name)
    try:
        job, planned = planned_rerun(jobs, job_id, request)
        return replace(candidate, planned=planned, decision=_quoted(job.record, planned, predicted))
    except (RerunRefused, Rejected) as error:
        return replace(candidate, refused=error.reason)
    except UnknownPrice as error:
        return replace(candidate, refused=str(error))
    except ValidationError as error:  # of one job's objects, which must not keep the others
        return replace(candidate, refused=validation_message(error))


def _quoted(record: JobRecord, planned: JobRecord, predicted: PredictedDeployment) -> Decision | None:
    """What would be decided on an idle deployment, by what was learned of the upload before. Raises Rejected."""
    if record.media is None:
        return None
    options, requested = record.options, planned.requested
    if requested is not None:
        options = requested.of(options)
    router = Router.from_settings(predicted.settings, predicted.prices)
    router = router.for_model(requested.deepgram_model if requested else None)
    upload = UploadFacts(record.upload.job_id, record.media, options, is_one_engines=requested is not None)
    return router.decide(upload, Conditions(predicted.speeds))


def _begun(client: Client, jobs: JobStore, candidate: Candidate, request: RerunRequest) -> Candidate:
    if candidate.planned is None:
        return candidate
    try:
        return replace(candidate, planned=begin_rerun(client, jobs, candidate.job_id, request).record)
    except RerunRefused as error:
        return replace(candidate, planned=None, refused=error.reason)


def _ended(client: Client, jobs: JobStore, found: Iterable[Candidate], console: Console) -> Iterator[Candidate]:
    """Each candidate with its new outcome, waited for."""
    for one in found:
        if one.planned is None:
            yield one
            continue
        run, outcome = one.planned.run, None
        print_line(console, f"{one.name}: waiting for run {run}; Ctrl-C ends the waiting, not the run.")
        while (outcome := jobs.outcome(one.job_id, run)) is None:
            time.sleep(LOOK_SECONDS)
        has_words = "transcript.json" in outcome.results
        yield replace(one, outcome=outcome, diff=diff_of_run(client, jobs, one.job_id, run) if has_words else None)


def _print(found: Sequence[Candidate], console: Console) -> None:
    if not found:
        print_line(console, "There are no such jobs.")
        return
    table = plain_table("job", "upload", "run", "method", "time", "cost", right=("run", "time", "cost"))
    for one in found:
        if one.planned is None:
            continue
        quote = one.decision.quote if one.decision else None
        table.add_row(
            one.job_id,
            Text(printable(one.name)),
            str(one.planned.run),
            _method(one),
            rough_duration(quote.completion_seconds) if quote else "-",
            f"${quote.bill.usd:.4f}" if quote else "not inspected",
        )
    if table.row_count:
        console.print(table)
    for one in found:
        if one.refused is not None:
            print_line(console, f"{one.name}: not run again: {one.refused}")


def _method(one: Candidate) -> str:
    requested = one.planned.requested if one.planned else None
    label = one.decision.label if one.decision else "to be decided"
    return f"{label} ({requested.deepgram_model})" if requested and requested.deepgram_model else label


def _print_end(found: Sequence[Candidate], console: Console, wanted: Rerun) -> None:
    begun = [one for one in found if one.planned is not None]
    outcomes = [one.outcome for one in begun if one.outcome is not None]
    if wanted.dry_run or not begun:
        if wanted.dry_run and begun:
            print_line(
                console,
                f"{len(begun)} {_jobs(begun)} would be run again for about ${sum(one.usd for one in begun):.4f}.",
            )
        return
    if not outcomes:
        them = "it" if len(begun) == 1 else "them"
        print_line(
            console, f"{len(begun)} {_jobs(begun)} will be run again: the reconciler's next call takes {them} up."
        )
        return
    console.print(outcome_table(outcomes))
    for one in begun:
        if one.outcome is not None and one.outcome.reason:
            print_line(console, f"{one.name}: {one.outcome.reason}")
        if one.diff is not None and len(begun) == 1:
            show_diff(one.diff, console)
        elif one.diff is not None:
            print_line(console, f"{one.name}: {headline(one.diff)}")


def _jobs(some: Sequence[Candidate]) -> str:
    return "job" if len(some) == 1 else "jobs"


def _as_dict(found: Sequence[Candidate], *, begun: bool) -> dict[str, object]:
    return {
        "jobs": [
            {
                "job_id": one.job_id,
                "upload": one.name,
                "run": one.planned.run if one.planned else None,
                "begun": begun and one.planned is not None,
                "refused": one.refused,
                "decision": one.decision.model_dump(mode="json") if one.decision else None,
                "outcome": one.outcome.model_dump(mode="json") if one.outcome else None,
                "diff": one.diff.as_dict() if one.diff else None,
            }
            for one in found
        ],
        "usd": sum(one.usd for one in found if one.planned is not None),
    }


def _exit_code(found: Sequence[Candidate], wanted: Rerun) -> int:
    if not found:  # that nothing failed is as it should be
        return ExitCode.ERROR if wanted.failed_since is None else ExitCode.COMPLETED
    if any(one.planned is None for one in found):
        return ExitCode.ERROR
    return worst({OUTCOME_CODES[one.outcome.outcome] for one in found if one.outcome is not None})
