"""Problems in the JSON of the service whose clients a path is for; everywhere else as RFC 9457 has them."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import Any

import flask

from trigger_function.api.web.answers import JSON
from trigger_function.api.web.problems import Problem

OPENAI_PREFIX, DEEPGRAM_PREFIX = "/v1/audio/", "/v1/listen"
"""Of the paths."""

_SENT_STATUS = {HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}
"""What both services have another status for."""

_OPENAI_CODES = {HTTPStatus.UNAUTHORIZED: "invalid_api_key", HTTPStatus.TOO_MANY_REQUESTS: "insufficient_quota"}

_DEEPGRAM_CODES = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.UNAUTHORIZED: "INVALID_AUTH",
    HTTPStatus.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "PAYLOAD_TOO_LARGE",
    HTTPStatus.TOO_MANY_REQUESTS: "TOO_MANY_REQUESTS",
}
"""Where they are not the status's own name. Source: developers.deepgram.com/docs/errors."""


JOB_FAILED = "JOB_FAILED"
"""Of what has no code of Deepgram's: the job ended without a transcript."""


def problem_response(problem: Problem, path: str) -> flask.Response:
    """The problem as the clients of this path read it."""
    if path.startswith(OPENAI_PREFIX):
        return _response(problem, _openai(problem))
    if path == DEEPGRAM_PREFIX:
        return _response(problem, _deepgram(problem))
    return problem.response()


def _openai(problem: Problem) -> dict[str, Any]:
    status, members = problem.status, dict(problem.members)
    errors = members.pop("errors", [])
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    code = _OPENAI_CODES.get(status, problem.kind.replace("-", "_"))
    if code == "insufficient_quota":
        kind = code
    param = errors[0].get("field") if errors else None
    return {"error": {"message": problem.detail, "type": kind, "param": param, "code": code, **members}}


def _deepgram(problem: Problem) -> dict[str, Any]:
    status, members = problem.status, dict(problem.members)
    members.pop("errors", None)
    sent = _SENT_STATUS.get(status, status)
    code = JOB_FAILED if problem.kind == "job-failed" else _DEEPGRAM_CODES.get(sent, sent.name)
    # Deepgram's are UUIDs, too; one of a job is the job's.
    request_id = members.pop("job_id", None) or str(uuid.uuid4())
    return {"err_code": code, "err_msg": problem.detail, "request_id": request_id, **members}


def _response(problem: Problem, body: dict[str, Any]) -> flask.Response:
    status = _SENT_STATUS.get(problem.status, problem.status)
    return flask.Response(json.dumps(body), status, problem.headers, content_type=JSON)
