"""The jobs part of the Cloud Run Admin API v2 over REST, as Google's own client speaks it; tasks are processes."""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import flask
from google.cloud import run_v2
from google.protobuf.json_format import ParseError
from werkzeug.exceptions import HTTPException, abort

from infra.emulators.executions import Execution, ExecutionState, LocalJob
from infra.emulators.http_server import HttpServer
from infra.emulators.run_resources import execution_resource, job_resource, operation_resource, overridden

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
SUFFIX_LENGTH = 5
DEFAULT_PAGE_SIZE = 100


class RunServer:
    """Runs the declared `jobs` on request; task output goes to files in `logs`.

    Tasks that are cancelled, out of time or alive at `stop()` get TERM and, `grace_seconds` later, KILL.
    """

    def __init__(self, jobs: Iterable[LocalJob], logs: Path, grace_seconds: float = 10.0) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._logs = logs
        self._grace_seconds = grace_seconds
        self._created = datetime.now(UTC)
        self._executions: dict[str, Execution] = {}
        self._refusals: deque[tuple[int, str]] = deque()
        self._stopping = False
        self._lock = threading.Lock()
        self._http = HttpServer(self._app())

    @property
    def url(self) -> str:
        """The `api_endpoint` for Google's clients: `http://127.0.0.1:PORT`."""
        return self._http.url

    def start(self) -> None:
        """Answer requests from now on."""
        self._http.start()

    def stop(self) -> None:
        """Answer nothing more and end every task, with all that it has started; idempotent."""
        self._http.stop()
        with self._lock:
            self._stopping = True
            executions = tuple(self._executions.values())
        for execution in executions:
            execution.cancel()
        for execution in executions:
            execution.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def executions(self) -> tuple[ExecutionState, ...]:
        """All executions as they are now, the oldest first."""
        with self._lock:
            return tuple(execution.state() for execution in self._executions.values())

    def refuse_next(self, count: int, status: int = 429, message: str = "Quota exceeded for GPU allocation.") -> None:
        """Answer the next `count` runs with `status`, starting nothing."""
        with self._lock:
            self._refusals.extend([(status, message)] * count)

    def wait_idle(self, timeout: float) -> None:
        """Return when no task runs; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            executions = tuple(self._executions.values())
        for execution in executions:
            if not execution.join(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"{execution.name} still runs after {timeout} s")

    def _app(self) -> flask.Flask:
        app = flask.Flask("run-server")
        job = "/v2/<path:job_name>"
        execution = f"{job}/executions/<execution_id>"
        app.add_url_rule(job, view_func=self._get_job)
        app.add_url_rule(f"{job}:run", view_func=self._run_job, methods=["POST"])
        app.add_url_rule(f"{job}/executions", view_func=self._list_executions)
        app.add_url_rule(execution, view_func=self._get_execution)
        app.add_url_rule(f"{execution}:cancel", view_func=self._cancel_execution, methods=["POST"])
        app.register_error_handler(HTTPException, _google_error)
        return app

    def _run_job(self, job_name: str) -> flask.Response:
        job = self._job(job_name)
        try:
            request = run_v2.RunJobRequest.from_json(flask.request.get_data(as_text=True) or "{}")
            job = overridden(job, request.overrides)
        except (ParseError, ValueError) as error:
            abort(400, str(error))
        return flask.jsonify(operation_resource(self._launch(job).state()))

    def _get_job(self, job_name: str) -> flask.Response:
        job = self._job(job_name)
        return _json(run_v2.Job.to_json(job_resource(job, self._created, self._executions_of(job))))

    def _get_execution(self, job_name: str, execution_id: str) -> flask.Response:
        execution = self._execution(job_name, execution_id)
        return _json(run_v2.Execution.to_json(execution_resource(execution.state())))

    def _list_executions(self, job_name: str) -> flask.Response:
        newest_first = self._executions_of(self._job(job_name))[::-1]
        start = flask.request.args.get("pageToken", 0, type=int)
        end = start + (flask.request.args.get("pageSize", 0, type=int) or DEFAULT_PAGE_SIZE)
        page = run_v2.ListExecutionsResponse(
            executions=[execution_resource(state) for state in newest_first[start:end]],
            next_page_token=str(end) if end < len(newest_first) else "",
        )
        return _json(run_v2.ListExecutionsResponse.to_json(page))

    def _cancel_execution(self, job_name: str, execution_id: str) -> flask.Response:
        execution = self._execution(job_name, execution_id)
        execution.cancel()
        return flask.jsonify(operation_resource(execution.state()))

    def _launch(self, job: LocalJob) -> Execution:
        with self._lock:
            if self._stopping:
                abort(503, "The server is stopping.")
            if self._refusals:
                abort(*self._refusals.popleft())
            execution = Execution(f"{job.id}-{_suffix()}", job, self._logs, self._grace_seconds)
            self._executions[execution.name] = execution
            return execution

    def _job(self, name: str) -> LocalJob:
        return self._jobs.get(name) or abort(404, f"Job {name} does not exist.")

    def _execution(self, job_name: str, execution_id: str) -> Execution:
        name = f"{job_name}/executions/{execution_id}"
        with self._lock:
            execution = self._executions.get(name)
        return execution or abort(404, f"Execution {name} does not exist.")

    def _executions_of(self, job: LocalJob) -> tuple[ExecutionState, ...]:
        return tuple(state for state in self.executions() if state.job.name == job.name)


def _suffix() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(SUFFIX_LENGTH))


def _json(body: str) -> flask.Response:
    return flask.Response(body, mimetype="application/json")


def _google_error(error: HTTPException) -> tuple[dict[str, object], int]:
    code = error.code or 500
    return {"error": {"code": code, "message": error.description, "status": STATUS_NAMES.get(code, "UNKNOWN")}}, code
