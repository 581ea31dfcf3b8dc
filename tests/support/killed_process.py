"""The process under test, killed at one of its writes to Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import pytest
import requests

READS = frozenset({"GET", "HEAD"})


class ProcessKilled(BaseException):
    """Nothing catches it, as nothing catches SIGKILL; what `finally` blocks try to write fails with it, too."""


@dataclass
class Kill:
    """When a process is killed."""

    write: int
    """Its first write is 1."""
    before: bool
    """Whether the write itself is not carried out any more."""
    happened: bool = False
    writes: int = 0
    """How many were begun."""
    is_over: bool = False
    """Whether others run by now."""
    sessions: WeakSet[requests.Session] = field(default_factory=WeakSet)
    """Its connections."""


@contextmanager
def killed_at(
    write: int, *, before: bool, monkeypatch: pytest.MonkeyPatch, has_threads: bool = False
) -> Iterator[Kill]:
    """What runs inside is killed at this write by Google's storage client, if it gets so far.

    `has_threads`: threads of it may live on behind this; until the test's end none of them gets an answer. Then it must
    have clients of its own.
    """
    kill = Kill(write, before)
    request = requests.Session.request

    def until_killed(self: requests.Session, method: str, url: str, *args: Any, **options: Any) -> requests.Response:
        if kill.is_over and not (kill.happened and self in kill.sessions):
            return request(self, method, url, *args, **options)
        kill.sessions.add(self)
        if kill.happened:
            raise ProcessKilled
        is_last = False
        if method not in READS:
            kill.writes += 1
            is_last = kill.writes == kill.write
        if is_last and kill.before:
            kill.happened = True
            raise ProcessKilled
        answer = request(self, method, url, *args, **options)
        if is_last:
            kill.happened = True
        if kill.happened:
            raise ProcessKilled
        return answer

    with nullcontext(monkeypatch) if has_threads else monkeypatch.context() as patched:
        patched.setattr(requests.Session, "request", until_killed)
        try:
            yield kill
        except ProcessKilled:
            assert kill.happened
        finally:
            kill.is_over = True
