"""Google's REST APIs, asked once a question: typed answers, and one kind of error with what to do about it.

Paths and field names are those of Google's discovery documents (tests/infra/google_apis.json holds them to
these); Cloud Quotas has none and follows its REST reference. Nothing here was ever run against Google itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import requests
from google.auth.exceptions import GoogleAuthError
from pydantic import BaseModel, ValidationError

from infra.doctor.resources import ErrorAnswer

R = TypeVar("R", bound=BaseModel)

NEEDED_ROLES = "roles/viewer and roles/serviceusage.serviceUsageConsumer on the project"
"""What lets the doctor ask all but the state bucket's objects and the Deepgram key."""


class Unanswered(Exception):
    """A question that Google did not answer, with why and what to do."""

    def __init__(self, says: str, fix: str = "") -> None:
        super().__init__(says)
        self.says = says
        self.fix = fix


class Missing(Unanswered):
    """There is no such thing."""


class ApiOff(Unanswered):
    """The API is not enabled, so nothing of its kind can exist."""


class Google:
    """The APIs behind a session that brings credentials along. Raises Unanswered; asks the same only once."""

    def __init__(self, session: requests.Session, project: str, timeout: float, endpoint: str | None = None) -> None:
        self._session = session
        self._project = project
        self._timeout = timeout
        self._endpoint = endpoint
        self._answers: dict[object, Future[requests.Response]] = {}
        self._lock = threading.Lock()

    def get(self, answer: type[R], host: str, path: str, query: Mapping[str, Any] | None = None) -> R:
        """`GET https://HOST/PATH` as an `answer`."""
        base = f"{self._endpoint}/{host}" if self._endpoint else f"https://{host}"
        response = self._once(
            (host, path, repr(query)),
            lambda: self._session.get(f"{base}/{path}", params=query, timeout=self._timeout),
        )
        if not response.ok:
            raise _refusal(response, host, self._project)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise Unanswered(f"{host} answered what is no {answer.__name__}.") from error

    def _once(self, question: object, ask: Callable[[], requests.Response]) -> requests.Response:
        with self._lock:
            known = self._answers.get(question)
            asked = known or self._answers.setdefault(question, Future())
        if known is None:
            try:
                asked.set_result(ask())
            except (requests.RequestException, GoogleAuthError) as error:
                asked.set_exception(_no_answer(error, self._timeout))
        return asked.result()


def _no_answer(error: Exception, timeout: float) -> Unanswered:
    """A question that never reached Google, or was not answered in time."""
    if isinstance(error, requests.Timeout):
        return Unanswered(f"No answer within {timeout:g} s.", "Try again; DOCTOR_TIMEOUT_SECONDS waits longer.")
    if isinstance(error, GoogleAuthError):
        return Unanswered("The credentials were not accepted.", "gcloud auth application-default login")
    return Unanswered(f"Not reached ({type(error).__name__}).", "Look at the network and at proxy settings.")


def _refusal(response: requests.Response, host: str, project: str) -> Unanswered:
    """An answer that is none, by its status and Google's own reason."""
    try:
        error = ErrorAnswer.model_validate_json(response.content).error
    except ValidationError:
        return Unanswered(f"{host} answered {response.status_code}.", "Try again.")
    message = error.message.partition("\n")[0][:200]
    if response.status_code == 404:
        return Missing(message or "It does not exist.")
    if response.status_code == 403 and error.says_api_off:
        return ApiOff(f"{host} is not enabled.", f"gcloud services enable {host} --project={project}")
    if response.status_code in (401, 403):
        return Unanswered(f"Not allowed to ask: {message}", f"Somebody with {NEEDED_ROLES} can.")
    return Unanswered(f"{host} answered {response.status_code}: {message}", "Try again.")
