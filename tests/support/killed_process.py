"""The process under test, killed at one of its writes to Cloud Storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import pytest
import requests

READS = frozenset({"GET", "HEAD"})


class ProcessKilled(BaseException):
    """Nothing catches it, as nothing catches SIGKILL; what `finally` blocks try to write fails with it, too."""


@dataclass
class Kill:
    """When a process is killed."""

    write: int | str
    """Its first write is 1; or the first of this kind."""
    before: bool
    """Whether the write itself is not carried out any more."""
    happened: bool = False
    writes: int = 0
    """How many were begun."""
    kinds: list[str] = field(default_factory=list)
    """Of the writes, in the order of their beginnings."""
    is_over: bool = False
    """Whether others run by now."""
    sessions: WeakSet[requests.Session] = field(default_factory=WeakSet)
    """Its connections."""


def kind_of_write(method: str, url: str, data: object) -> str:
    """What a write is for: its method, bucket and object, without what differs from one upload or attempt to another;
    of a record its state, too."""
    path = unquote(urlsplit(url).path)
    body = data[:HEAD_BYTES] if isinstance(data, bytes) else b""
    # An upload has the name in its body, before the content.
    name = re.search(rb'"name": *"([^"]+)"', body) if "/upload/" in path else None
    place = path.rpartition("/b/")[2] + (f"/{name[1].decode()}" if name else "")
    if place.startswith("results/"):
        file = place.rpartition("/")[2]
        place = f"results/{file if file in _IN_TURN else 'all other formats'}"
    state = re.search(rb'"state": *"([a-z]+)"', body)
    return " ".join([method, _VARYING.sub("*", place), *([state[1].decode()] if state else [])])


HEAD_BYTES = 4_000

_IN_TURN = ("transcript.json", "receipt.json")
"""Results that are stored alone; all others are stored at once, in any order."""

_VARYING = re.compile(r"[0-9a-f]{8,}|[0-9]+")
"""Ids, hashes, generations and numbers."""


@contextmanager
def killed_at(
    write: int | str, *, before: bool, monkeypatch: pytest.MonkeyPatch, has_threads: bool = False
) -> Iterator[Kill]:
    """What runs inside is killed at this write by Google's storage client (or at the first of this kind), if it gets so
    far.

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
            kill.kinds.append(kind_of_write(method, url, options.get("data")))
            is_last = kill.write in (kill.writes, kill.kinds[-1])
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
