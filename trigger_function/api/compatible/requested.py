"""What the requests of both services have in common: a model's name, a language, and hints that change nothing."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Literal, NoReturn

from shared.enums import JobDevice, Method
from shared.languages.choice import LanguageChoice, parse_language_choice
from shared.settings.deployment import DeploymentSettings
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


def requested_language(
    language: str | None, settings: DeploymentSettings, field: str = "language"
) -> LanguageChoice | None:
    """The language of a recording; None: nothing is asked, or the deployment's own. Raises Problem where it is none,
    or no engine of this deployment has it."""
    if not language:
        return None
    try:
        choice = parse_language_choice(language)
    except ValueError as error:
        refuse(field, f"{field} is {shown(language)}: {error}.")
    table = settings.language_table
    if table.is_own(choice):
        return None
    obstacles = [table.job_obstacle(choice, JobDevice.CPU), table.deepgram_obstacle(choice)]
    if all(obstacles):
        refuse(field, f"No engine of this deployment has the language {shown(language)}: {obstacles[0]}.")
    return choice


def shown(value: str) -> str:
    """A value of the request in a message about it."""
    return repr(value[:MAX_SHOWN_CHARACTERS])


def refuse(field: str, message: str, kind: str = "unusable-fields") -> NoReturn:
    """Raises Problem about one parameter."""
    raise Problem(HTTPStatus.BAD_REQUEST, message, kind, errors=[{"field": field, "message": message}])
