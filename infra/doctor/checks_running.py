"""Checks of what runs: functions, scheduler, jobs, the GPU's health, stuck jobs, messages that wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from google.api_core.exceptions import NotFound
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, ok, or_ok, warn
from infra.doctor.google import Missing, Unanswered
from infra.doctor.names import FUNCTIONS
from infra.doctor.resources import RunJob, SchedulerJob, ServiceConfig, Subscription, TimeSeriesPage
from shared.enums import JobDevice
from shared.errors import SERVICE_UNAVAILABLE_ERRORS, validation_message
from shared.state.execution_slots import ExecutionSlots
from shared.state.gpu_breaker import CircuitState, gpu_health
from shared.state.jobs.open_markers import OpenMarker
from shared.state.jobs.store import JobStore
from trigger_function.settings.function import FunctionSettings

LONGEST_SILENCE = timedelta(hours=1)
"""Of the scheduler, which ticks every five minutes unless `reconcile_schedule` says otherwise."""

MOST_OPEN_JOBS = 100
"""So many are looked at: each takes two reads."""

OLDEST_WORK = timedelta(minutes=30)
"""As the alert of terraform/alerting.tf."""


class _GivenSettings(FunctionSettings):
    """As function and reconciler read their environment, of what is given alone."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing of this process's own environment."""
        return (init_settings,)


def refused_settings(config: ServiceConfig) -> str | None:
    """Why a function with this environment ends as it starts; None where it does not."""
    given = {name.lower(): value for name, value in config.environment_variables.items() if value}
    given |= {one.key.lower(): "a secret" for one in config.secret_environment_variables}
    try:
        _GivenSettings.model_validate(given)
    except ValidationError as error:
        return validation_message(error)
    return None


def functions(context: Context) -> Iterator[Finding]:
    """Both are active, and take their settings."""
    problems = (problem for purpose in FUNCTIONS for problem in _function_problems(context, purpose))
    yield from or_ok(problems, "functions", f"{' and '.join(FUNCTIONS)} are active.")


def _function_problems(context: Context, purpose: str) -> Iterator[Finding]:
    name = context.names.function(purpose)
    try:
        function = context.function(purpose)
    except Missing:
        yield fail("functions", f"There is no function {name}.", context.names.make("plan"))
        return
    if function.state != "ACTIVE":
        why = "; ".join(one.message for one in function.state_messages)
        logs = f"gcloud functions logs read {name} --region={context.names.region} --project={context.names.project}"
        yield fail("functions", f"{name} is {function.state or 'in no state'}. {why}".strip(), logs)
    if (refused := refused_settings(function.service_config)) is not None:
        yield fail("functions", f"{name} cannot start. {refused}", "docs/configuration.md; then: make deploy")


def unredacted_bucket(context: Context) -> Iterator[Finding]:
    """Where unredacted transcripts are kept, there is a bucket for them: nothing redacted gets results without it."""
    try:
        name = context.function("upload").service_config.environment_variables.get("UNREDACTED_BUCKET")
    except Missing:
        return
    if not name:
        return
    try:
        is_there = context.storage.bucket(name).exists()
    except SERVICE_UNAVAILABLE_ERRORS as error:
        needs = f"Looking at gs://{name} takes roles/storage.legacyBucketReader on it."
        raise Unanswered(f"gs://{name} could not be looked at ({type(error).__name__}).", needs) from error
    if is_there:
        yield ok("unredacted", f"Transcripts before redaction go to gs://{name}.")
    else:
        says = f"There is no bucket {name} (UNREDACTED_BUCKET): no upload that is redacted gets results."
        yield fail("unredacted", says, f"keep_unredacted = true; then: {context.names.make('deploy')}")


def scheduler(context: Context) -> Iterator[Finding]:
    """The reconciler is called, and answers."""
    names = context.names
    job = f"{names.name}-reconcile"
    run = f"gcloud scheduler jobs run {job} --location={names.region} --project={names.project}"
    try:
        found = context.google.get(SchedulerJob, "cloudscheduler.googleapis.com", f"v1/{names.location}/jobs/{job}")
    except Missing:
        yield fail("scheduler", f"There is no scheduler job {job}: nothing calls the reconciler.", names.make("plan"))
        return
    if found.state != "ENABLED":
        yield fail("scheduler", f"{job} is {found.state or 'in no state'}.", run.replace(" run ", " resume "))
    elif found.status.code:
        says = f"The reconciler's last call failed: {found.status.message or f'code {found.status.code}'}."
        yield fail("scheduler", says, f"See the log of {names.function('reconcile')}; then: {run}")
    elif found.last_attempt_time is None or context.at - found.last_attempt_time > LONGEST_SILENCE:
        yield warn("scheduler", f"{job} last ran {found.last_attempt_time or 'never'}.", run)
    else:
        yield ok("scheduler", f"The reconciler was called at {found.last_attempt_time:%H:%M} UTC.")


def jobs(context: Context) -> Iterator[Finding]:
    """Each job is ready, and its last execution did not fail."""
    for device in context.devices():
        name = context.names.job(device)
        try:
            found = context.job(device)
        except Missing:
            yield fail(f"{device} job", f"There is no job {name}.", context.names.make("plan"))
            continue
        yield from or_ok(_job_problems(context, device, found), f"{device} job", _described(found))


def _job_problems(context: Context, device: str, job: RunJob) -> Iterator[Finding]:
    name, state = context.names.job(device), job.terminal_condition.state
    if state in ("CONDITION_FAILED", "CONDITION_PENDING"):
        says = f"{name} is not ready: {job.terminal_condition.message or state}."
        yield fail(f"{device} job", says, "An image that is missing: " + context.names.make("deploy"))
    last = job.latest_created_execution
    if last is not None and last.completion_status == "EXECUTION_FAILED":
        where = f"--region={context.names.region} --project={context.names.project}"
        execution = last.name.rpartition("/")[2]
        says = f"{name}'s last execution failed ({last.completion_time or 'no time'})."
        yield warn(f"{device} job", says, f"gcloud run jobs executions describe {execution} {where}")


def _described(job: RunJob) -> str:
    last = job.latest_created_execution
    status = last.completion_status.removeprefix("EXECUTION_").lower() if last else "none yet"
    return f"Ready with {job.image or 'no image'}; last execution: {status}."


def health(context: Context) -> Iterator[Finding]:
    """The circuit breaker of the GPU, which the deployment keeps in its state bucket."""
    with _state_read(context):
        found = gpu_health(context.storage.bucket(context.names.bucket("state")))
    why = ", ".join(f"{count} x {kind}" for kind, count in found.failures.items())
    since = f" since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    if found.state is CircuitState.OPEN:
        again = f"{found.next_trial:%H:%M} UTC" if found.next_trial else "any time"
        fix = f"A trial upload may start at {again}. quota: the GPU quota; credentials: the roles; else the job's log."
        yield fail(
            "GPU health",
            f"The circuit is open{since}: {why or 'no failure recorded'}. Uploads take other engines.",
            fix,
        )
    elif found.state is CircuitState.HALF_OPEN:
        yield warn(
            "GPU health", f"Half-open{since}, after {why or 'no failure recorded'}.", "Wait for the trial upload's end."
        )
    else:
        yield ok("GPU health", f"The circuit is closed{since}." + (f" Recent failures: {why}." if why else ""))


def executions(context: Context) -> Iterator[Finding]:
    """How many executions run, and whether Cloud Run refused further ones a short while ago."""
    state = context.storage.bucket(context.names.bucket("state"))
    with _state_read(context):
        running = {device: ExecutionSlots(state, device, 1).view().running for device in JobDevice}
    counts = ", ".join(f"{one.count} of the {device.upper()} job" for device, one in running.items())
    refused = [device.upper() for device, one in running.items() if one.quota_refused]
    if refused:
        fix = "More quota, or a smaller max_parallel_tasks: those that run do the work, later."
        yield warn("executions", f"{counts}. No quota for another one of the {' and '.join(refused)} job.", fix)
    else:
        yield ok("executions", f"Running or about to: {counts}.")


def stuck_jobs(context: Context) -> Iterator[Finding]:
    """No open job is overdue for the reconciler."""
    store = JobStore(context.storage.bucket(context.names.bucket("state")))
    with _state_read(context):
        open_jobs = list(islice(store.markers.all(), MOST_OPEN_JOBS))
        dues, unreadable = dict[str, datetime | None](), list[str]()
        for one in open_jobs:
            try:
                dues[one.job_id] = _due(store, one)
            except ValidationError:
                unreadable.append(one.job_id)
    late = context.at - timedelta(minutes=context.settings.doctor_stuck_minutes)
    stuck = {job_id: due for job_id, due in dues.items() if due is not None and due < late}
    many = "or more " if len(open_jobs) == MOST_OPEN_JOBS else ""
    if stuck:
        first = min(stuck, key=lambda job_id: stuck[job_id])
        explain = f"dropscribe explain {first} --bucket {context.names.bucket('state')}"
        since = f"{stuck[first]:%Y-%m-%d %H:%M} UTC"
        says = f"{len(stuck)} of {len(open_jobs)} {many}open jobs are stuck, the oldest since {since}."
        yield fail("open jobs", says, f"See scheduler and functions; then: {explain}")
    elif unreadable:
        says = (
            f"Of {len(unreadable)} of {len(open_jobs)} {many}open jobs something cannot be read, as of {unreadable[0]}."
        )
        yield warn("open jobs", says, "The reconciler mends it within hours; docs/operations.md says how.")
    else:
        yield ok("open jobs", f"{len(open_jobs)} {many}open, none stuck.")


def _due(store: JobStore, marker: OpenMarker) -> datetime | None:
    """When the reconciler should take it up; None where it has just ended."""
    job = store.load(marker.job_id)
    if job is not None:
        seen_at = marker.queued.seen_at if marker.queued else None
        return max(job.record.lease_until, seen_at) if seen_at else job.record.lease_until
    opened = store.markers.read(marker.job_id, marker.run)
    return None if opened is None else opened.opened_at


def costs_table(context: Context) -> Iterator[Finding]:
    """Pub/Sub can write outcomes into BigQuery: what it says itself, whatever the roles are."""
    name = context.names.costs_subscription
    path = f"v1/projects/{context.names.project}/subscriptions/{name}"
    try:
        table = context.google.get(Subscription, "pubsub.googleapis.com", path).bigquery_config
    except Missing:
        yield fail("costs table", f"There is no subscription {name}.", context.names.make("plan"))
        return
    if table.state not in ("", "ACTIVE"):
        compare = f"Roles and columns: {context.names.make('plan')}"
        yield fail("costs table", f"{name} cannot write to {table.table}: {table.state}.", compare)
    else:
        yield ok("costs table", f"Outcomes are written to {table.table}.")


def backlog(context: Context) -> Iterator[Finding]:
    """No work waits for long, and there are no dead letters (Cloud Monitoring's figures, minutes old)."""
    yield from or_ok(_waiting(context), "backlog", "No work waits for long, and there are no dead letters.")


def _waiting(context: Context) -> Iterator[Finding]:
    names = context.names
    for subscription in names.work_subscriptions:
        oldest = _newest_value(context, subscription, "oldest_unacked_message_age")
        if oldest is not None and oldest > OLDEST_WORK.total_seconds():
            says = f"The oldest work in {subscription} has waited for {timedelta(seconds=oldest)}."
            yield warn("backlog", says, "No execution runs, or none starts: see the jobs, the GPU quota, its health.")
    for subscription in names.dead_letter_subscriptions:
        count = _newest_value(context, subscription, "num_undelivered_messages")
        if count:
            look = f"dropscribe dead list --project={names.project} --topic-prefix={names.topic_prefix}"
            yield warn("backlog", f"{count} dead letters in {subscription}.", look)


def _newest_value(context: Context, subscription: str, metric: str) -> int | None:
    """The newest value of the last ten minutes; None where nothing was measured, as for an idle subscription."""
    page = context.google.get(
        TimeSeriesPage,
        "monitoring.googleapis.com",
        f"v3/projects/{context.names.project}/timeSeries",
        {
            "filter": f'metric.type = "pubsub.googleapis.com/subscription/{metric}"'
            f' AND resource.labels.subscription_id = "{subscription}"',
            "interval.startTime": (context.at - timedelta(minutes=10)).isoformat(),
            "interval.endTime": context.at.isoformat(),
        },
    )
    return next((point.value.int64_value for series in page.time_series for point in series.points), None)


@contextmanager
def _state_read(context: Context) -> Iterator[None]:
    """The storage client's errors as the doctor's."""
    bucket = context.names.bucket("state")
    try:
        yield
    except NotFound as error:
        raise Missing(f"There is no bucket {bucket}.") from error
    except SERVICE_UNAVAILABLE_ERRORS as error:
        needs = f"Reading gs://{bucket} takes roles/storage.objectViewer on it."
        raise Unanswered(f"gs://{bucket} could not be read ({type(error).__name__}).", needs) from error
