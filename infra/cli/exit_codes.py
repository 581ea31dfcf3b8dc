"""The command's exit status: a number for each way in which it can end."""

from __future__ import annotations

from enum import IntEnum

from shared.enums import Outcome


class ExitCode(IntEnum):
    """Exit statuses of all commands; a shell needs no more than this to know what to do next."""

    COMPLETED = 0
    ERROR = 1
    USAGE = 2
    GAPS = 3
    REJECTED = 4
    FAILED = 5
    NO_MODEL = 6
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.COMPLETED: "every file is completed",
    ExitCode.ERROR: "the command itself failed: a service, the disk, a setting",
    ExitCode.USAGE: "the arguments make no sense",
    ExitCode.GAPS: "a transcript has gaps (completed_with_gaps)",
    ExitCode.REJECTED: "a file was rejected, or there was none",
    ExitCode.FAILED: "a file failed",
    ExitCode.NO_MODEL: "there is no model: no network, no such name, no room for it",
    ExitCode.INTERRUPTED: "ended by Ctrl-C or TERM; finished results are kept",
}
"""What each says of `dropscribe run`."""

OUTCOME_CODES = {
    Outcome.COMPLETED: ExitCode.COMPLETED,
    Outcome.COMPLETED_WITH_GAPS: ExitCode.GAPS,
    Outcome.REJECTED: ExitCode.REJECTED,
    Outcome.FAILED: ExitCode.FAILED,
}

_BY_URGENCY = (ExitCode.ERROR, ExitCode.NO_MODEL, ExitCode.FAILED, ExitCode.REJECTED, ExitCode.GAPS)


def worst(codes: set[ExitCode]) -> ExitCode:
    """The one status of several files."""
    return next((code for code in _BY_URGENCY if code in codes), ExitCode.COMPLETED)


def exit_codes_help() -> str:
    """The end of a help text, as typer takes it: a paragraph with one line for each status."""
    lines = "\n".join(f"{code:4d}  {meaning}" for code, meaning in MEANINGS.items())
    return f"Exit status, the worst of all files:\n\n\b\n{lines}"
