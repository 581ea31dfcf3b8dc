"""What handlers return."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import flask
from pydantic import BaseModel

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """An answer that is what was asked for; everything else is a Problem."""

    status: HTTPStatus
    body: BaseModel | Mapping[str, object] | str | bytes | None = None
    """Models and mappings are sent as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON

    def data(self) -> bytes:
        """The body as it is sent."""
        match self.body:
            case None:
                return b""
            case BaseModel():
                return self.body.model_dump_json().encode()
            case str():
                return self.body.encode()
            case bytes():
                return self.body
            case _:
                return json.dumps(dict(self.body)).encode()

    def response(self) -> flask.Response:
        """As it is sent."""
        content_type = self.content_type if self.body is not None else None
        response = flask.Response(self.data(), self.status, dict(self.headers), content_type=content_type)
        if content_type is None:
            del response.headers["Content-Type"]
        return response
