"""What a command says, in one line, where a service, a file or the environment refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound
from google.auth.exceptions import GoogleAuthError
from pydantic import ValidationError
from rich.console import Console

from infra.cli.tables import printable
from shared.costs.prices import UnknownPrice
from shared.errors import SERVICE_UNAVAILABLE_ERRORS

P = ParamSpec("P")


class RefusedError(Exception):
    """Something that makes no sense, in one sentence."""


def in_a_sentence(command: Callable[P, int]) -> Callable[P, int]:
    """A command that ends with a line on the standard error and exit status 1 instead of a traceback."""

    @wraps(command)
    def careful(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return command(*args, **kwargs)
        except (
            *SERVICE_UNAVAILABLE_ERRORS,
            GoogleAuthError,
            OSError,
            RefusedError,
            UnknownPrice,
            ValidationError,
        ) as error:
            Console(stderr=True).print(printable(sentence_of(error)), markup=False, highlight=False, soft_wrap=True)
            return 1

    return careful


def sentence_of(error: Exception) -> str:
    """An error as a person wants to be told it."""
    match error:
        case ValidationError():
            return _invalid(error)
        case Forbidden() | NotFound():
            return _message(error)
        case GoogleAuthError():
            return f"No credentials: {_first_line(error)} gcloud auth application-default login makes some."
        case OSError(filename=str(name), strerror=str(why)):
            return f"{name}: {why}"
        case RefusedError() | UnknownPrice():
            return str(error)
    return f"No answer: {_first_line(error)}"


def _message(error: GoogleAPICallError) -> str:
    """Google's own words with the bucket, without the request that they answer."""
    request, _, words = str(error.message).rpartition(": ")
    bucket = re.search(r"/b/([^/?]+)", request)
    return f"gs://{bucket[1]}: {words}" if bucket else words


def _invalid(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if error.title.endswith("Settings"):
        return f"{field.upper() or 'Settings'}: {first['msg']}"
    return f"{error.title} cannot be read{f': {field}' if field else ''}: {first['msg']}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
