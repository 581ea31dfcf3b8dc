"""The function's answer to what Pub/Sub pushes: a 2xx ends it, anything else has it pushed again."""

from __future__ import annotations

import logging
from http import HTTPStatus

import flask

from trigger_function.webhooks.deliver import Webhooks
from trigger_function.webhooks.push import MAX_PUSH_BYTES, NotAnOutcome, pushed_outcome

_log = logging.getLogger(__name__)


def answer_push(webhooks: Webhooks, request: flask.Request) -> flask.Response:
    """Deliver one pushed outcome."""
    if request.method != "POST":
        return _answered(HTTPStatus.METHOD_NOT_ALLOWED)
    if (request.content_length or 0) > MAX_PUSH_BYTES:
        return _answered(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        outcome, published_at = pushed_outcome(request.get_data())
    except NotAnOutcome:
        # It would be none the next time: taken, so that it does not come for a day.
        _log.exception("what was pushed is no outcome")
        return _answered(HTTPStatus.NO_CONTENT)
    try:
        is_done = webhooks.deliver(outcome, published_at)
    except Exception:
        _log.exception("an outcome is to be pushed again")
        is_done = False
    return _answered(HTTPStatus.NO_CONTENT if is_done else HTTPStatus.SERVICE_UNAVAILABLE)


def _answered(status: HTTPStatus) -> flask.Response:
    return flask.Response(status=status)
