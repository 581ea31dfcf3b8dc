"""Re-runs: a job that has ended is transcribed once more, as the next run of the same job.

    step                                            killed behind it
    1  state  open/<job>.<run>.json                 the job has ended as before; the reconciler deletes the marker
    2  state  jobs/<job>/record.json                the reconciler takes the run up, like any job without an outcome

Where the record of the run before is damaged nobody can tell whether this one began: killed behind the marker, it is
begun by the reconciler, with the model that the upload's options and the settings decide.

The outcome, the results and the bill of the run before stay where they are; the new run's have names of their own, a
message with an `event_id` of its own, and a line of their own in the ledger. A job that failed keeps what its attempts
had stored, so that none of it is paid again, unless the re-run asks for another model, or the upload's metadata or the
deployment's rules ask something else of the engines by now.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from google.cloud.storage import Client

from shared.clock import now
from shared.deepgram_request import DeepgramRequest
from shared.enums import Method, Outcome
from shared.errors import DropscribeError, StateConflict
from shared.formats.tracks import RequestedTrack
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.state.job_result import keeps_parts
from shared.state.jobs.record import Job, JobRecord, JobState, RequestedModel
from shared.state.jobs.store import JobStore
from shared.telemetry import tracing

HOLDER = "rerun"
"""Holds no claim: whoever looks after the job next takes it."""

BEGIN_TRIES = 3
"""Writes of the record against the reconciler's."""


class RerunRefused(DropscribeError):
    """The job is not run again; the reason says why in a sentence."""


@dataclass(frozen=True)
class RerunRequest:
    """What somebody wants of a re-run."""

    model: RequestedModel | None = None
    """None: what the upload's options and the deployment's settings decide, or an earlier re-run was asked for."""
    force: bool = False
    """Also where the job is completed, with the model that it has."""


def requested_model(text: str, deepgram_model: str, priced_models: Collection[str]) -> RequestedModel:
    """`parakeet`, `deepgram` or one of Deepgram's models that has a price -> what a re-run is to use.

    `deepgram_model`: the deployment's own. Raises RerunRefused.
    """
    if text == Method.PARAKEET:
        return RequestedModel(method=Method.PARAKEET)
    model = deepgram_model if text == Method.DEEPGRAM else text
    if model not in priced_models:
        known = ", ".join([Method.PARAKEET, Method.DEEPGRAM, *sorted(priced_models)])
        raise RerunRefused(f"There is no model {text!r} with a price; known are {known}.")
    return RequestedModel(method=Method.DEEPGRAM, deepgram_model=model)


def plan_rerun(record: JobRecord, outcome: TerminalMessage | None, request: RerunRequest, at: datetime) -> JobRecord:
    """The record with which the job's next run begins. `outcome`: of the run that the record is of.

    Raises RerunRefused.
    """
    if outcome is None:
        raise RerunRefused(f"The job has not ended yet: run {record.run} is {record.state.value}.")
    model = request.model
    if record.options.is_private and model is not None and model.method is not Method.PARAKEET:
        raise RerunRefused("The upload may not leave for an API (transcribe-privacy: local).")
    if outcome.outcome is Outcome.COMPLETED and not request.force:
        if model is None:
            raise RerunRefused("The job is completed: name another model, or force it.")
        if _is_model_of(outcome, model):
            raise RerunRefused(f"The job is completed by {model.label} already: name another model, or force it.")
    run = record.run + 1
    keeps = keeps_parts(outcome) and (model is None or model == record.requested or _is_model_of(outcome, model))
    return JobRecord(
        upload=record.upload,
        run=run,
        earlier_usd=record.earlier_usd + outcome.bill.usd,
        parts_run=record.parts_run if keeps else run,
        # Options are read with the decision: a run that ended before that has none of its own.
        parts_options=(record.parts_options if record.decision is None else record.options) if keeps else None,
        requested=model or record.requested,
        state=JobState.CLAIMED,
        holder=HOLDER,
        lease_until=at,
        received_at=at,
        # What may have killed a worker still runs alone.
        lost_attempts=min(1, record.lost_so_far),
        traceparent=tracing.traceparent(),
    )


def parts_run_with(record: JobRecord, options: UploadOptions, language: str) -> int:
    """The `parts_run` of a run whose options are known by now: what engines heard, asked something else, is of no use.

    `language`: the deployment's.
    """
    before = record.parts_options
    if before is None or _asked_of_engines(before, language) == _asked_of_engines(options, language):
        return record.parts_run
    return record.run


def _asked_of_engines(options: UploadOptions, language: str) -> tuple[DeepgramRequest, RequestedTrack | None]:
    return DeepgramRequest.of_upload(options, language), options.track


def _is_model_of(outcome: TerminalMessage, model: RequestedModel) -> bool:
    """Whether the job was this model's alone. What another engine was asked for as well, as a second opinion or where
    words were missing, or what took over, has its line on the bill, and is no reason to refuse either of them."""
    if outcome.decision is None or outcome.decision.method is not model.method:
        return False
    asked = outcome.bill.deepgram_models
    return not asked if model.method is Method.PARAKEET else asked == {model.deepgram_model}


def begin_rerun(storage: Client, jobs: JobStore, job_id: str, request: RerunRequest) -> Job:
    """Begin the next run of a job; the reconciler's next call goes on with it, if nobody does so before.

    Raises RerunRefused, and what the storage client raises. Of two at once one begins, and the other is refused.
    """
    for _ in range(BEGIN_TRIES):
        job, planned = planned_rerun(jobs, job_id, request)
        upload = planned.upload
        if not storage.bucket(upload.bucket).blob(upload.name, generation=upload.generation).exists():
            raise RerunRefused("The upload was deleted or replaced.")
        try:
            return jobs.begin_run(job, planned)
        except StateConflict:
            continue  # by the reconciler, or another re-run: then it is refused in the next round
    raise RerunRefused("The job's record is being changed by other processes: try again.")


def planned_rerun(jobs: JobStore, job_id: str, request: RerunRequest) -> tuple[Job, JobRecord]:
    """A job and the record of its next run, without an effect. Raises RerunRefused."""
    job = jobs.find(job_id)
    if job is None:
        raise RerunRefused("There is no such job.")
    if job.is_of_outcome and jobs.is_newer(job.id):
        raise RerunRefused("A newer release wrote the job's record: run the job again with that one.")
    planned = plan_rerun(job.record, jobs.outcome(job.id, job.record.run), request, now())
    if jobs.markers.is_open(job.id, job.record.run):
        raise RerunRefused("The outcome of the job is being published: try again in a few minutes.")
    return job, planned
