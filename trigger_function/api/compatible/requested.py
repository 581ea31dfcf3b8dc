"""What the requests of both services have in common: a model's name, a language, and hints that change nothing."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Literal, NoReturn

from shared.enums import Method
from shared.formats.languages import language_code
from shared.settings import DeploymentSettings
from trigger_function.api.web.problems import Problem

JOB_HEADER = "X-Dropscribe-Job"
OUTCOME_HEADER = "X-Dropscribe-Outcome"
"""`completed_with_gaps` where the text is not the whole one, which the other services' JSON has no word for."""
IGNORED_HEADER = "X-Dropscribe-Ignored"
"""Parameters that were taken and change nothing."""

MAX_SHOWN_CHARACTERS = 100
"""Of a value in a message."""


def requested_method(model: str | None, others: re.Pattern[str]) -> Literal["auto"] | Method | None:
    """The method that a `model` asks for: one of ours by its name; None, the deployment's, for a model of the service
    that the client was written for (`others`). Raises Problem for any other name."""
    if model is None or others.fullmatch(model):
        return None
    if model == "auto":
        return "auto"
    try:
        return Method(model)
    except ValueError:
        ours = ", ".join(["auto", *Method])
        refuse(
            "model",
            f"The model {shown(model)} does not exist here: send {ours}, or the name it had.",
            "model_not_found",
        )


def check_language(language: str | None, settings: DeploymentSettings) -> None:
    """Raises Problem where recordings are said to be in another language than the deployment's."""
    if not language:
        return
    code, own = language_code(language), settings.language
    if code is None or code != language_code(own):
        refuse(
            "language",
            f"The language {shown(language)} is not the one that this deployment transcribes, {own!r} (LANGUAGE).",
        )


def shown(value: str) -> str:
    """A value of the request in a message about it."""
    return repr(value[:MAX_SHOWN_CHARACTERS])


def refuse(field: str, message: str, kind: str = "unusable-fields") -> NoReturn:
    """Raises Problem about one parameter."""
    raise Problem(HTTPStatus.BAD_REQUEST, message, kind, errors=[{"field": field, "message": message}])
