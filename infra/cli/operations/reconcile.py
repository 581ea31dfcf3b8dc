"""`dropscribe reconcile`: the reconciler's next call comes now, with a sweep of the uploads bucket if wanted."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import google.auth
import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Bucket

from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import CommandError, errors_in_one_line
from infra.cli.exit_codes import ExitCode
from infra.doctor.credentials import SCOPES
from infra.doctor.names import Names
from infra.doctor.settings import DoctorSettings
from shared.errors import first_line
from shared.state.jobs.store import JobStore
from trigger_function.reconciler.sweep import request_sweep

ANSWER_SECONDS = 600.0
"""Longest time that the reconciler may take on a laptop, whose answer is waited for. Source: the function's own limit
is 540 s."""


@dataclass(frozen=True)
class Request:
    """What the command was asked for."""

    project: str
    region: str
    name: str
    state_bucket: str
    sweep: bool = False
    url: str | None = None
    """Of a reconciler that is called itself."""
    dry_run: bool = False
    as_json: bool = False


@errors_in_one_line
def reconcile_now(request: Request) -> int:
    """The exit status: 0 where the reconciler was called."""
    state = bucket_named(storage_client(), request.state_bucket)
    found = open_jobs(state)
    counts: Mapping[str, int] | None = None
    if not request.dry_run:
        if request.sweep:
            request_sweep(state)
        if request.url:
            counts = _call(request.url)
        else:
            _run_scheduler(request)
    if request.as_json:
        answer = {"open_jobs": found, "sweep": request.sweep, "called": not request.dry_run, "reconciled": counts}
        sys.stdout.write(json.dumps(answer) + "\n")
        return ExitCode.COMPLETED
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items()) or "no job"
    would = "would be" if request.dry_run else "is being" if counts is None else "was"
    looks = f", and {'would look' if request.dry_run else 'looks'} for uploads without a job" if request.sweep else ""
    print(f"Open: {kinds}.")
    print(f"The reconciler {would} called{looks}.")
    if counts:
        print(", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))
    return ExitCode.COMPLETED


def open_jobs(state: Bucket) -> dict[str, int]:
    """How many jobs have not ended: those on a queue, by its job, and others."""
    markers = JobStore(state).markers.all()
    return dict(Counter(f"on the {one.queued.device.value} queue" if one.queued else "not queued" for one in markers))


def _call(url: str) -> Mapping[str, int]:
    response = requests.post(url, timeout=ANSWER_SECONDS)
    response.raise_for_status()
    counts: Mapping[str, int] = response.json()
    return counts


def _run_scheduler(request: Request) -> None:
    """Cloud Scheduler calls at once, as whom it always does. Raises CommandError."""
    try:
        names = Names(request.project, request.region, request.name)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    settings = DoctorSettings()
    endpoint, host = settings.google_apis_endpoint, "cloudscheduler.googleapis.com"
    base = f"{endpoint}/{host}" if endpoint else f"https://{host}"
    credentials, _ = google.auth.default(scopes=SCOPES)
    job = f"{names.location}/jobs/{names.function('reconcile')}"
    answer = AuthorizedSession(credentials).post(f"{base}/v1/{job}:run", timeout=settings.doctor_timeout_seconds)
    if not answer.ok:
        raise CommandError(f"Cloud Scheduler did not run {job}: HTTP {answer.status_code} {_message(answer)}")


def _message(answer: requests.Response) -> str:
    try:
        return first_line(Exception(answer.json()["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return str(answer.reason)
