"""Requests that are sent again: with the same `Idempotency-Key` they are done once, and answered alike.

As draft-ietf-httpapi-idempotency-key-header-07 has it. `api/requests/<hash>.json` in the state bucket is created before
anything is done, by whoever comes first. It has the token that names what the request makes, so that a second process,
after a crash, finds what the first one made; and, at the end, the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, ValidationError

from shared import objects
from shared.clock import now
from shared.errors import StateConflict, best_effort
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.problems import Problem

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
"""A UUID has 36."""

IN_PROGRESS = timedelta(seconds=300)
"""How long the first request is taken to be worked on still: as long as the function may take."""

REPLAYED_HEADER = "Idempotency-Replayed"

REQUESTS_FOLDER = "api/requests/"
"""In the state bucket."""


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: int
    body: Any = None
    headers: dict[str, str] = {}


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True)

    fingerprint: str
    """Of method, path, query and body."""
    token: str
    begun_at: datetime
    answered: _Answered | None = None


def request_object(caller_id: str, method: str, path: str, key: str) -> str:
    """The name of the object of a request: keys of one caller, for one operation, are a space of their own."""
    digest = hashlib.sha256("\0".join((caller_id, method, path, key)).encode()).hexdigest()
    return f"{REQUESTS_FOLDER}{digest}.json"


def check_key(key: str) -> None:
    """Raises Problem."""
    if not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"{HEADER} has to be of 1 to {MAX_KEY_CHARACTERS} printable ASCII characters."
        )


def once(state: Bucket, name: str, fingerprint: str, token: str, do: Callable[[str], Answer]) -> Answer:
    """What `do` answers, or answered when the request came first. `name`: of the request's object.

    `token`: of this request; `do` gets that of the first. Raises what `do` raises: a Problem by which nothing was done
    frees the key, so that the request may be mended. Raises Problem where the key belongs to another request, or to one
    that is being worked on.
    """
    mine = _Request(fingerprint=fingerprint, token=token, begun_at=now())
    stored = objects.create_once(state, name, mine.model_dump_json().encode())
    first, generation = _parsed(stored.data), stored.generation
    if first != mine:
        if first.fingerprint != fingerprint:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"The {HEADER} was used for another request.", "key-of-another-request"
            )
        if first.answered is not None:
            return _replayed(first.answered)
        if now() - first.begun_at < IN_PROGRESS:
            raise _in_progress()
        # Whoever had it ended without a word: with the same token, what it made is found.
        mine = first.model_copy(update={"begun_at": now()})
        try:
            generation = objects.replace(state, name, mine.model_dump_json().encode(), generation).generation
        except StateConflict:
            raise _in_progress() from None
    try:
        answer = do(mine.token)
    except Problem as problem:
        with best_effort("an idempotency key was not freed"):
            if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                objects.delete(state, name, generation)
            else:
                _retry_at_once(state, name, mine, generation)
        raise
    except Exception:
        with best_effort("an idempotency key was not freed"):
            _retry_at_once(state, name, mine, generation)
        raise
    body = json.loads(answer.data() or b"null")
    answered = _Answered(status=int(answer.status), body=body, headers=dict(answer.headers))
    with best_effort("the answer to a request was not kept"):
        done = mine.model_copy(update={"answered": answered})
        objects.replace(state, name, done.model_dump_json().encode(), generation)
    return answer


def _retry_at_once(state: Bucket, name: str, request: _Request, generation: int) -> None:
    """Something may have been done: the next one goes on with the token, and waits for nobody."""
    released = request.model_copy(update={"begun_at": request.begun_at - IN_PROGRESS})
    objects.replace(state, name, released.model_dump_json().encode(), generation)


def _replayed(answered: _Answered) -> Answer:
    return Answer(HTTPStatus(answered.status), answered.body, {**answered.headers, REPLAYED_HEADER: "true"})


def _in_progress() -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        f"The first request with this {HEADER} is being worked on.",
        "request-in-progress",
        headers={"Retry-After": "5"},
    )


def _parsed(data: bytes) -> _Request:
    try:
        return _Request.model_validate_json(data)
    except ValidationError:
        raise Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, f"What is kept of this {HEADER} cannot be read: use another one."
        ) from None
