"""Checks of what runs: functions, the reconciler's tick, jobs, the GPU's health, and jobs that are stuck."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice

from google.api_core.exceptions import NotFound
from google.auth.exceptions import GoogleAuthError

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, ok, or_ok, warn
from infra.doctor.google import Missing, Unanswered
from infra.doctor.names import FUNCTIONS
from infra.doctor.resources_deployment import RunJob, SchedulerJob
from shared.errors import SERVICE_UNAVAILABLE_ERRORS
from shared.state.gpu_breaker import CircuitState, gpu_health
from shared.state.jobs import JobStore, OpenJob

LONGEST_SILENCE = timedelta(hours=1)
"""Of the scheduler, which ticks every five minutes unless `reconcile_schedule` says otherwise."""

MOST_OPEN_JOBS = 100
"""So many are looked at: each takes two reads."""

_APPLY = "terraform apply"


def functions(context: Context) -> Iterator[Finding]:
    """Both are active, and the uploads' events reach the first one again and again until it has handled them."""
    problems = (problem for purpose in FUNCTIONS for problem in _function_problems(context, purpose))
    yield from or_ok(problems, "functions", f"{' and '.join(FUNCTIONS)} are active.")


def _function_problems(context: Context, purpose: str) -> Iterator[Finding]:
    name = context.names.function(purpose)
    try:
        function = context.function(purpose)
    except Missing:
        yield fail("functions", f"There is no function {name}.", _APPLY)
        return
    if function.state != "ACTIVE":
        why = "; ".join(one.message for one in function.state_messages)
        logs = f"gcloud functions logs read {name} --region={context.names.region} --project={context.names.project}"
        yield fail("functions", f"{name} is {function.state or 'in no state'}. {why}".strip(), logs)
    if purpose != "upload":
        return
    trigger, uploads = function.event_trigger, context.names.bucket("uploads")
    if trigger is None or uploads not in {one.value for one in trigger.event_filters if one.attribute == "bucket"}:
        yield fail("functions", f"{name} hears nothing of {uploads}.", _APPLY)
    elif trigger.retry_policy != "RETRY_POLICY_RETRY":
        yield fail("functions", f"{name} is told of an upload once only: a failed event is lost.", _APPLY)


def scheduler(context: Context) -> Iterator[Finding]:
    """The reconciler is called, and answers."""
    names = context.names
    job = f"{names.name}-reconcile"
    run = f"gcloud scheduler jobs run {job} --location={names.region} --project={names.project}"
    try:
        found = context.google.get(SchedulerJob, "cloudscheduler.googleapis.com", f"v1/{names.location}/jobs/{job}")
    except Missing:
        yield fail("scheduler", f"There is no scheduler job {job}: nobody looks after quiet jobs.", _APPLY)
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
            yield fail(f"{device} job", f"There is no job {name}.", _APPLY)
            continue
        yield from or_ok(_job_problems(context, device, found), f"{device} job", _described(found))


def _job_problems(context: Context, device: str, job: RunJob) -> Iterator[Finding]:
    name, state = context.names.job(device), job.terminal_condition.state
    if state in ("CONDITION_FAILED", "CONDITION_PENDING"):
        says = f"{name} is not ready: {job.terminal_condition.message or state}."
        yield fail(f"{device} job", says, "Put the image where the release is looked for, then " + _APPLY)
    selector = job.template.template.node_selector
    if device == "gpu" and (selector is None or not selector.accelerator):
        yield fail(f"{device} job", f"{name} has no GPU.", _APPLY)
    last = job.latest_created_execution
    if last is not None and last.completion_status == "EXECUTION_FAILED":
        where = f"--region={context.names.region} --project={context.names.project}"
        execution = last.name.rpartition("/")[2]
        says = f"{name}'s last execution failed ({last.completion_time or 'no time'})."
        yield warn(f"{device} job", says, f"gcloud run jobs executions describe {execution} {where}")


def _described(job: RunJob) -> str:
    image = job.template.template.containers[0].image if job.template.template.containers else "no image"
    last = job.latest_created_execution
    status = last.completion_status.removeprefix("EXECUTION_").lower() if last else "none yet"
    return f"Ready with {image}; last execution: {status}."


def health(context: Context) -> Iterator[Finding]:
    """What the deployment itself thinks of its GPU."""
    with _state_read(context):
        found = gpu_health(context.storage.bucket(context.names.bucket("state")))
    why = ", ".join(f"{count} x {kind}" for kind, count in found.failures.items())
    since = f" since {found.since:%Y-%m-%d %H:%M} UTC" if found.since else ""
    if found.state is CircuitState.OPEN:
        again = f"{found.next_trial:%H:%M} UTC" if found.next_trial else "any time"
        fix = f"One upload tries again at {again}. quota: the GPU quota; credentials: the roles; else the job's log."
        yield fail("GPU health", f"Given up{since}: {why or 'no reason kept'}. Uploads go elsewhere.", fix)
    elif found.state is CircuitState.HALF_OPEN:
        yield warn(
            "GPU health", f"On trial{since}, after {why or 'no reason kept'}.", "Wait for the trial upload's end."
        )
    else:
        yield ok("GPU health", f"In use{since}." + (f" Lately: {why}." if why else ""))


def stuck_jobs(context: Context) -> Iterator[Finding]:
    """No open job has been left alone by everybody."""
    store = JobStore(context.storage.bucket(context.names.bucket("state")))
    with _state_read(context):
        looked_at = list(islice(store.open_jobs(), MOST_OPEN_JOBS))
        stuck = [one for one in looked_at if _is_stuck(store, one, context)]
    many = "or more " if len(looked_at) == MOST_OPEN_JOBS else ""
    if stuck:
        first = min(stuck, key=lambda one: one.opened_at)
        explain = f"dropscribe explain {first.upload.job_id} --bucket {context.names.bucket('state')}"
        since = f"{first.opened_at:%Y-%m-%d %H:%M} UTC"
        says = f"{len(stuck)} of {len(looked_at)} {many}open jobs are stuck, the oldest since {since}."
        yield fail("open jobs", says, f"See scheduler and functions; then: {explain}")
    else:
        yield ok("open jobs", f"{len(looked_at)} {many}open, none stuck.")


def _is_stuck(store: JobStore, opened: OpenJob, context: Context) -> bool:
    """Whether the reconciler should have seen to it long ago."""
    job = store.load(opened.upload.job_id)
    due = job.record.lease_until if job else opened.opened_at
    return context.at - due > timedelta(minutes=context.settings.doctor_stuck_minutes)


@contextmanager
def _state_read(context: Context) -> Iterator[None]:
    """The storage client's errors as the doctor's."""
    bucket = context.names.bucket("state")
    try:
        yield
    except NotFound as error:
        raise Missing(f"There is no bucket {bucket}.") from error
    except (*SERVICE_UNAVAILABLE_ERRORS, GoogleAuthError) as error:
        needs = f"Reading gs://{bucket} takes roles/storage.objectViewer on it."
        raise Unanswered(f"gs://{bucket} could not be read ({type(error).__name__}).", needs) from error
