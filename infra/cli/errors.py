"""Errors of services, files and settings as one line of text instead of a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound
from google.auth.exceptions import GoogleAuthError
from pydantic import ValidationError
from rich.console import Console

from infra.cli.exit_codes import ExitCode
from infra.cli.tables import print_line
from shared.costs.prices import UnknownPrice, UnusablePriceBook
from shared.errors import SERVICE_UNAVAILABLE_ERRORS, DropscribeError, FailureKind, first_line, validation_message

P = ParamSpec("P")


class CommandError(Exception):
    """What ends a command. Its text is one sentence; `code` is the exit status."""

    def __init__(self, text: str, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(text)
        self.code = code


def errors_in_one_line(command: Callable[P, int]) -> Callable[P, int]:
    """Decorator: where the command fails, one line on standard error and an exit status instead of a traceback."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return command(*args, **kwargs)
        except (
            *SERVICE_UNAVAILABLE_ERRORS,
            OSError,
            CommandError,
            DropscribeError,
            UnknownPrice,
            UnusablePriceBook,
            ValidationError,
        ) as error:
            print_line(Console(stderr=True), message_of(error))
            return _code_of(error)

    return wrapper


def _code_of(error: Exception) -> ExitCode:
    match error:
        case CommandError():
            return error.code
        case DropscribeError(kind=FailureKind.MODEL_LOAD):
            return ExitCode.NO_MODEL
    return ExitCode.ERROR


def message_of(error: Exception) -> str:
    """One line that says what went wrong, for a person."""
    match error:
        case ValidationError():
            return validation_message(error)
        case Forbidden() | NotFound():
            return _message(error)
        case GoogleAuthError():
            return f"No credentials: {first_line(error)} Run gcloud auth application-default login."
        case OSError(filename=str(name), strerror=str(why)):
            return f"{name}: {why}"
        case OSError(strerror=str(why)):
            return why
        case CommandError() | UnknownPrice() | UnusablePriceBook():
            return str(error)
        case DropscribeError():
            return error.reason
    return f"Service unavailable: {first_line(error)}"


def reason_of(error: Exception) -> str:
    """As `message_of`, without the name of a file that the reader knows already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else message_of(error)


def _message(error: GoogleAPICallError) -> str:
    """Google's message with the bucket's name, without the request."""
    request, _, words = str(error.message).rpartition(": ")
    bucket = re.search(r"/b/([^/?]+)", request)
    return f"gs://{bucket[1]}: {words}" if bucket else words
