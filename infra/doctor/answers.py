"""How Google's APIs answer: JSON in its spelling, of which only some fields are looked at, and refusals."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """JSON in Google's spelling."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class ErrorDetail(Answer):
    """google.rpc.ErrorInfo, or another kind of detail."""

    reason: str = ""


class ErrorBody(Answer):
    """What `error` holds, of every API."""

    message: str = ""
    details: tuple[ErrorDetail, ...] = ()

    @property
    def says_api_off(self) -> bool:
        """Whether the API is not enabled in the project."""
        return any(detail.reason == "SERVICE_DISABLED" for detail in self.details)


class ErrorAnswer(Answer):
    """The body of a refusal."""

    error: ErrorBody
