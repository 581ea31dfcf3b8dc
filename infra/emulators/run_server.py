"""`jobs.run` of the Cloud Run Admin API v2 over REST, as Google's own client calls it; the task is a process."""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import flask
from google.cloud import run_v2
from werkzeug.exceptions import HTTPException, abort

from infra.emulators.executions import Execution, ExecutionState, LocalJob
from infra.emulators.http_server import HttpServer
from infra.emulators.processes import ProcessGroup

EXECUTION_TYPE = "type.googleapis.com/google.cloud.run.v2.Execution"
STATUS_NAMES = {
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
SUFFIX_LENGTH = 5


class RunServer(HttpServer):
    """Runs the declared `jobs` on request; the output of tasks goes to files in `logs`.

    Tasks that are out of time or alive at `stop()` get TERM and, `grace_seconds` later, KILL.
    """

    def __init__(
        self,
        jobs: Iterable[LocalJob],
        logs: Path,
        grace_seconds: float = 10.0,
        process_type: type[ProcessGroup] = ProcessGroup,
    ) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._logs = logs
        self._grace_seconds = grace_seconds
        self._process_type = process_type
        self._executions: list[Execution] = []
        self._stopping = False
        self._lock = threading.Lock()
        app = flask.Flask("cloud-run", static_folder=None)
        app.add_url_rule("/v2/<path:job_name>:run", view_func=self._run_job, methods=["POST"])
        app.register_error_handler(HTTPException, _google_error)
        super().__init__(app)

    def stop(self) -> None:
        """Answer nothing more and end every task, with all that it has started; idempotent."""
        super().stop()
        with self._lock:
            self._stopping = True
        for execution in self._executions:
            execution.cancel()
        for execution in self._executions:
            execution.join()

    def executions(self) -> tuple[ExecutionState, ...]:
        """All executions as they are now, the oldest first."""
        with self._lock:
            return tuple(execution.state for execution in self._executions)

    def wait_idle(self, timeout: float) -> None:
        """Return when no task runs; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._lock:
            executions = tuple(self._executions)
        for execution in executions:
            if not execution.join(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"{execution.name} still runs after {timeout} s")

    def _run_job(self, job_name: str) -> flask.Response:
        job = self._jobs.get(job_name) or abort(404, f"Job {job_name} does not exist.")
        if flask.request.get_json(force=True) != {}:
            abort(501, "Not supported: overrides")
        with self._lock:
            if self._stopping:
                abort(503, "The server is stopping.")
            name = f"{job.id}-{_suffix()}"
            execution = Execution(name, job, self._logs, self._grace_seconds, self._process_type)
            self._executions.append(execution)
        resource = run_v2.Execution(name=execution.name, job=job.id, create_time=execution.state.started)
        metadata = {"@type": EXECUTION_TYPE, **json.loads(run_v2.Execution.to_json(resource))}
        location = job.name.partition("/jobs/")[0]
        return flask.jsonify({"name": f"{location}/operations/{uuid.uuid4()}", "metadata": metadata, "done": False})


def _suffix() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(SUFFIX_LENGTH))


def _google_error(error: HTTPException) -> tuple[dict[str, object], int]:
    code = error.code or 500
    return {"error": {"code": code, "message": error.description, "status": STATUS_NAMES.get(code, "UNKNOWN")}}, code
