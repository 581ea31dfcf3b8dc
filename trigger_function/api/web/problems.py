"""Refusals and failures as clients get them: problem details (RFC 9457), whatever went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask
from pydantic import ValidationError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:dropscribe:problem:"
"""Of every `type`; what follows is listed in docs/api.md."""

MAX_LISTED_ERRORS = 20
"""Of a body's fields: a body of a million wrong ones gets a short answer all the same."""


class Problem(Exception):
    """An answer that is not what was asked for. Raised anywhere below a handler."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        kind: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        """`detail`: one sentence for the person at the other end, without anything that only we should know.

        `kind`: the last part of `type`; by default the status's name, `not-found`. `members`: further members of the
        object, as RFC 9457 allows them.
        """
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind or status.name.lower().replace("_", "-")
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> flask.Response:
        """As it is sent."""
        body = {
            "type": f"{TYPE_PREFIX}{self.kind}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            **self.members,
        }
        return flask.Response(json.dumps(body), self.status, self.headers, content_type=MEDIA_TYPE)


def not_found(what: str) -> Problem:
    """`what`: `job`. Also the answer where a caller may not see what is there."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}.")


def unusable(error: ValidationError) -> Problem:
    """A body or parameters that are not what the route takes, by field. The values are not quoted back."""
    errors = [
        {"field": ".".join(map(str, one["loc"])), "message": one["msg"].removeprefix("Value error, ")}
        for one in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_LISTED_ERRORS]
    ]
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The request has fields that cannot be used.", "unusable-fields", errors=errors
    )
