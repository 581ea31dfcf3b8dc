"""The process under test, killed at one of its writes to Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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


@contextmanager
def killed_at(write: int, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kill]:
    """What runs inside is killed at this write by Google's storage client, if it gets so far."""
    kill = Kill(write, before)
    request = requests.Session.request

    def until_killed(self: requests.Session, method: str, url: str, *args: Any, **options: Any) -> requests.Response:
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
            raise ProcessKilled
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(requests.Session, "request", until_killed)
        try:
            yield kill
        except ProcessKilled:
            assert kill.happened
