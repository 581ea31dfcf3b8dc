"""A request as handlers see it: who calls, the path's parameters, query and body within their limits."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

import flask
from pydantic import BaseModel, ValidationError

from trigger_function.api.services import ApiServices
from trigger_function.api.web.answers import JSON
from trigger_function.api.web.callers import Caller
from trigger_function.api.web.problems import Problem, unusable
from trigger_function.api.web.request_body import RequestBody

MAX_JSON_BYTES = 1 << 16
"""Of a JSON body: 64 KiB, for a name takes 1 KiB and everything else less."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """One request."""

    services: ApiServices
    request: flask.Request
    body: RequestBody
    caller: Caller
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the path."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """32 hexadecimal digits: of this request and of those that repeat it with the same Idempotency-Key, and of no
    other. Objects are named by it, so that what is done twice is found done."""

    began: float = field(default_factory=time.monotonic)
    """By time.monotonic()."""

    @property
    def job_id(self) -> str:
        """The path's."""
        return self.parameters["job_id"]

    def query(self, model: type[Model]) -> Model:
        """The query's parameters, each given once at most. Raises Problem."""
        given = self.request.args
        if twice := sorted(name for name in given if len(given.getlist(name)) > 1):
            shown = ", ".join(twice)[:100]
            raise Problem(HTTPStatus.BAD_REQUEST, f"These parameters are given more than once: {shown}.")
        try:
            return model.model_validate(given.to_dict())
        except ValidationError as error:
            raise unusable(error) from None

    def json(self, model: type[Model], default: Model | None = None) -> Model:
        """The body. `default`: of a request without one. Raises Problem."""
        if default is not None and not self.body.is_there:
            return default
        if self.request.mimetype != JSON:
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body has to be {JSON}.")
        try:
            # Parsed by itself before: pydantic takes what RFC 8259 does not. Text that is no valid Unicode is refused.
            content = json.loads(self.body.read(MAX_JSON_BYTES), parse_constant=_refuse_constant)
            text = json.dumps(content, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is no valid JSON.", "not-json") from None
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise unusable(error) from None


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")
