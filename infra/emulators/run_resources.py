"""What the Cloud Run Admin API says about jobs and executions, in Google's own message types."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from google.cloud import run_v2

from infra.emulators.executions import ExecutionState, LocalJob, Phase

if TYPE_CHECKING:
    from datetime import datetime

EXECUTION_TYPE = "type.googleapis.com/google.cloud.run.v2.Execution"

_Status = run_v2.ExecutionReference.CompletionStatus
_State = run_v2.Condition.State
_Reason = run_v2.Condition.ExecutionReason

COMPLETION_STATUS = {
    Phase.PENDING: _Status.EXECUTION_PENDING,
    Phase.RUNNING: _Status.EXECUTION_RUNNING,
    Phase.SUCCEEDED: _Status.EXECUTION_SUCCEEDED,
    Phase.FAILED: _Status.EXECUTION_FAILED,
    Phase.CANCELLED: _Status.EXECUTION_CANCELLED,
}
COMPLETED_STATE = {
    Phase.PENDING: _State.CONDITION_PENDING,
    Phase.RUNNING: _State.CONDITION_RECONCILING,
    Phase.SUCCEEDED: _State.CONDITION_SUCCEEDED,
    Phase.FAILED: _State.CONDITION_FAILED,
    Phase.CANCELLED: _State.CONDITION_FAILED,
}


def overridden(job: LocalJob, overrides: run_v2.RunJobRequest.Overrides) -> LocalJob:
    """The job as one run sees it: env merged, the rest replaced where it is given; ValueError if Cloud Run refuses."""
    containers = overrides.container_overrides
    if len(containers) > 1:
        raise ValueError(f"overrides for {len(containers)} containers, the job has one")
    for container in containers:
        env = {**job.env, **{variable.name: variable.value for variable in container.env}}
        args = () if container.clear_args else tuple(container.args) or job.args
        job = replace(job, env=env, args=args)
    if overrides.task_count:
        job = replace(job, task_count=overrides.task_count)
    if overrides.timeout:
        job = replace(job, timeout_seconds=overrides.timeout.total_seconds())
    return job


def execution_resource(state: ExecutionState) -> run_v2.Execution:
    """The Execution that `executions.get` answers."""
    return run_v2.Execution(
        name=state.name,
        uid=_uid(state.name),
        job=state.job.id,
        create_time=state.created,
        start_time=state.started,
        completion_time=state.completed,
        update_time=state.completed or state.started or state.created,
        task_count=state.job.task_count,
        parallelism=_parallelism(state.job),
        template=_task_template(state.job),
        reconciling=state.completed is None,
        conditions=[_completed_condition(state), _started_condition(state)],
        running_count=state.count(Phase.RUNNING),
        succeeded_count=state.count(Phase.SUCCEEDED),
        failed_count=state.count(Phase.FAILED),
        cancelled_count=state.count(Phase.CANCELLED),
        retried_count=state.retried,
    )


def job_resource(job: LocalJob, created: datetime, executions: tuple[ExecutionState, ...]) -> run_v2.Job:
    """The Job that `jobs.get` answers; `executions` are those of this job, the oldest first."""
    return run_v2.Job(
        name=job.name,
        uid=_uid(job.name),
        create_time=created,
        template=run_v2.ExecutionTemplate(
            task_count=job.task_count, parallelism=_parallelism(job), template=_task_template(job)
        ),
        terminal_condition=run_v2.Condition(type_="Ready", state=_State.CONDITION_SUCCEEDED),
        execution_count=len(executions),
        latest_created_execution=_reference(executions[-1]) if executions else None,
    )


def operation_resource(state: ExecutionState) -> dict[str, object]:
    """The long-running operation that `jobs.run` and `executions.cancel` answer, the execution as its metadata."""
    location = state.name.partition("/jobs/")[0]
    execution = json.loads(run_v2.Execution.to_json(execution_resource(state)))
    return {
        "name": f"{location}/operations/{uuid.uuid4()}",
        "metadata": {"@type": EXECUTION_TYPE, **execution},
        "done": state.completed is not None,
    }


def _task_template(job: LocalJob) -> run_v2.TaskTemplate:
    container = run_v2.Container(
        command=job.command,
        args=job.args,
        env=[run_v2.EnvVar(name=name, value=value) for name, value in job.env.items()],
    )
    return run_v2.TaskTemplate(containers=[container], max_retries=job.max_retries, timeout=f"{job.timeout_seconds}s")


def _completed_condition(state: ExecutionState) -> run_v2.Condition:
    failures = [f"task {task.index}: {task.failure}" for task in state.tasks if task.phase is Phase.FAILED]
    return run_v2.Condition(
        type_="Completed",
        state=COMPLETED_STATE[state.phase],
        execution_reason=_reason(state),
        message="; ".join(failures),
        last_transition_time=state.completed or state.created,
    )


def _reason(state: ExecutionState) -> int | None:
    match state.phase:
        case Phase.FAILED:
            return _Reason.NON_ZERO_EXIT_CODE
        case Phase.CANCELLED:
            return _Reason.CANCELLED
        case Phase.PENDING | Phase.RUNNING if state.cancelling:
            return _Reason.CANCELLING
    return None


def _started_condition(state: ExecutionState) -> run_v2.Condition:
    return run_v2.Condition(
        type_="Started",
        state=_State.CONDITION_SUCCEEDED if state.started else _State.CONDITION_PENDING,
        last_transition_time=state.started or state.created,
    )


def _reference(state: ExecutionState) -> run_v2.ExecutionReference:
    return run_v2.ExecutionReference(
        name=state.name,
        create_time=state.created,
        completion_time=state.completed,
        completion_status=COMPLETION_STATUS[state.phase],
    )


def _parallelism(job: LocalJob) -> int:
    return min(job.parallelism or job.task_count, job.task_count)


def _uid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
