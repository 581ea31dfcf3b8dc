"""What Pub/Sub pushes: a message in an envelope, https://cloud.google.com/pubsub/docs/push#receive_push."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shared.messages import TerminalMessage

MAX_PUSH_BYTES = 16 * 2**20
"""Pub/Sub's messages have 10 MB at most, a third more in base64."""


class _PushedMessage(BaseModel):
    model_config = ConfigDict(frozen=True)

    data: bytes
    published_at: datetime = Field(alias="publishTime")

    @field_validator("data", mode="before")
    @classmethod
    def _decoded(cls, text: object) -> bytes:
        try:
            return base64.b64decode(str(text), validate=True)
        except binascii.Error as error:
            raise ValueError("no base64") from error


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True)

    message: _PushedMessage


class NotAnOutcome(ValueError):
    """What was pushed is none, and will be none the next time."""


def pushed_outcome(body: bytes) -> tuple[TerminalMessage, datetime]:
    """The outcome, and when it was published. Raises NotAnOutcome."""
    try:
        message = _Envelope.model_validate_json(body).message
        return TerminalMessage.model_validate_json(message.data), message.published_at
    except ValidationError as error:
        raise NotAnOutcome(f"{error.error_count()} fields of it are wrong") from error
