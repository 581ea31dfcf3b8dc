"""A request to the API, from its arrival to its answer."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from http import HTTPStatus

import flask
from google.api_core.exceptions import Forbidden, ServiceUnavailable, TooManyRequests
from werkzeug.exceptions import HTTPException

from shared.errors import SERVICE_UNAVAILABLE_ERRORS, StateConflict
from trigger_function.api.routes import ROUTES
from trigger_function.api.services import ApiServices
from trigger_function.api.web import idempotency
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.browsers import is_of_another_page
from trigger_function.api.web.call import MAX_JSON_BYTES, Call
from trigger_function.api.web.callers import Caller, caller_of
from trigger_function.api.web.error_shapes import problem_response
from trigger_function.api.web.problems import Problem
from trigger_function.api.web.request_body import RequestBody
from trigger_function.api.web.routes import Access, Match, match

_log = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""After a fault of a service that passes."""

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
"""Of every answer: addresses and names in it are for nobody else."""


def respond(services: ApiServices, request: flask.Request) -> flask.Response:
    """The answer to a request; raises nothing."""
    body = RequestBody(request, services.settings.api_body_seconds)
    try:
        response = _answer(services, request, body).response()
    except Problem as problem:
        response = problem_response(problem, request.path)
    except Exception as error:
        response = problem_response(_failure(error), request.path)
    response = body.leave(response)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def problem_of(error: HTTPException) -> flask.Response:
    """What Flask and werkzeug refuse before the API sees it, such as a path of `robots.txt`."""
    status = HTTPStatus(error.code) if error.code in set(HTTPStatus) else HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(status, "The request cannot be answered.").response()


def _answer(services: ApiServices, request: flask.Request, body: RequestBody) -> Answer:
    _check_browser(services, request)
    found = match(ROUTES, request.method, request.path)
    caller = _caller(services, request, found.route.access)
    call = Call(services, request, body, caller, found.parameters)
    key = request.headers.get(idempotency.HEADER)
    if key is None or not found.route.once:
        return found.route.handler(call)
    return _once(call, found, key)


def _once(call: Call, found: Match, key: str) -> Answer:
    idempotency.check_key(key)
    request, route = call.request, found.route
    limit = max(MAX_JSON_BYTES, call.services.settings.api_max_body_bytes)
    # One that is too large is refused by the handler, which does nothing then.
    body = call.body.read(limit) if (request.content_length or 0) <= limit else b""
    parts = (request.method.encode(), request.full_path.encode(), request.mimetype.encode(), body)
    fingerprint = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    name = idempotency.request_object(call.caller.id, request.method, request.path, key)

    def do(token: str) -> Answer:
        return route.handler(replace(call, token=token))

    return idempotency.once(call.services.deployment.state, name, fingerprint, call.token, do)


def _caller(services: ApiServices, request: flask.Request, access: Access) -> Caller:
    if access is Access.ANYBODY:
        return Caller("anybody")
    caller = caller_of(request, services.keys, services.settings.api_source_buckets)
    if access is Access.DEPLOYMENT and caller.folder is not None:
        raise Problem(HTTPStatus.FORBIDDEN, "The API key is for one folder, and this is about all of them.")
    return caller


def _check_browser(services: ApiServices, request: flask.Request) -> None:
    """Where hosts are named, as on a laptop, which asks for no key: nothing is done for pages that a browser shows.

    They may have their own name lead to this machine, and may send forms and text to any address without asking first.
    """
    hosts = services.settings.api_hosts
    if not hosts:
        return
    if request.host not in hosts:
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, "The API does not answer for this host.")
    if is_of_another_page(request.method, request.host, request.headers):
        raise Problem(HTTPStatus.FORBIDDEN, "The API does nothing for pages of other origins.")


def _failure(error: Exception) -> Problem:
    """What went wrong here, as much of it as a client has use for."""
    if isinstance(error, (StateConflict, ServiceUnavailable, TooManyRequests, ConnectionError, TimeoutError)):
        _log.warning("a request was not answered", exc_info=error)
        return _unavailable()
    if isinstance(error, SERVICE_UNAVAILABLE_ERRORS) and not isinstance(error, Forbidden):
        _log.error("a request was not answered", exc_info=error)
        return _unavailable()
    _log.error("a request failed", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed; the deployment's log says why.")


def _unavailable() -> Problem:
    detail = "A service that the deployment needs did not answer: try again."
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(RETRY_SECONDS)})
