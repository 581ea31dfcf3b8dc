"""What a check found: a status, what it is about, what is the matter, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """Could not be asked: not allowed, an API that is off, no answer."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    status: Status
    subject: str
    says: str
    fix: str = ""
    """A command, a link or a sentence; empty where nothing is to be done."""


def ok(subject: str, says: str) -> Finding:
    """All is well."""
    return Finding(Status.OK, subject, says)


def warn(subject: str, says: str, fix: str) -> Finding:
    """It works, but not as it should, or not for long."""
    return Finding(Status.WARN, subject, says, fix)


def fail(subject: str, says: str, fix: str) -> Finding:
    """Uploads are not, or not all, transcribed like this."""
    return Finding(Status.FAIL, subject, says, fix)


def unknown(subject: str, says: str, fix: str = "") -> Finding:
    """Nobody could tell."""
    return Finding(Status.UNKNOWN, subject, says, fix)


def or_ok(problems: Iterable[Finding], subject: str, says: str) -> Iterator[Finding]:
    """The problems as they come, or one line that there are none."""
    none = True
    for problem in problems:
        none = False
        yield problem
    if none:
        yield ok(subject, says)
