"""The process under test, killed at one of its effects in turn: writes to Cloud Storage, executions that it starts,
calls to Deepgram, messages that it publishes and acknowledges. Between two of them it only reads and computes, so a
kill before each is a kill at every point of its work."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import httpx
import pytest
import requests
from google.cloud import pubsub_v1

READS = frozenset({"GET", "HEAD"})


class ProcessKilled(BaseException):
    """Nothing catches it, as nothing catches SIGKILL; what `finally` blocks try to write fails with it, too."""


@dataclass
class Kill:
    """When a process is killed: before an effect, which is not carried out any more."""

    effect: int | str
    """Its first one is 1; or the first of this kind."""
    happened: bool = False
    kinds: list[str] = field(default_factory=list)
    """Of the effects, in the order of their beginnings."""
    is_over: bool = False
    """Whether others run by now."""
    clients: WeakSet[Any] = field(default_factory=WeakSet)
    """Its own: its connections, publishers and subscribers."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Of two threads' effects each has a number of its own: none is passed over."""

    def is_of_another(self, client: object) -> bool:
        """Whether a call is not the process's."""
        return self.is_over and not (self.happened and client in self.clients)

    def begins(self, client: object, kind: str | None) -> None:
        """The process is about to do something: to read, where it is of no kind. Raises ProcessKilled."""
        self.clients.add(client)
        if self.happened:
            raise ProcessKilled
        if kind is None:
            return
        with self.lock:
            self.kinds.append(kind)
            self.happened = self.happened or self.effect in (len(self.kinds), kind)
        if self.happened:
            raise ProcessKilled

    def goes_on(self) -> None:
        """Something is done. Raises ProcessKilled where another thread was killed meanwhile."""
        if self.happened:
            raise ProcessKilled


def kind_of_write(method: str, url: str, data: object) -> str:
    """What a write is for: its method, bucket and object, without what differs from one upload or attempt to another;
    of a record its state, too."""
    path = unquote(urlsplit(url).path)
    raw = data.encode() if isinstance(data, str) else data
    body = raw[:HEAD_BYTES] if isinstance(raw, bytes) else b""
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
def killed_at(effect: int | str, *, monkeypatch: pytest.MonkeyPatch, has_threads: bool = False) -> Iterator[Kill]:
    """What runs inside is killed before this effect (or the first of this kind), if it gets so far.

    `has_threads`: threads of it may live on behind this; until the test's end none of them gets an answer. Then it must
    have clients of its own.
    """
    kill = Kill(effect)

    def watched(method: Callable[..., Any], kind_of: Callable[..., str | None]) -> Callable[..., Any]:
        def until_killed(client: Any, *args: Any, **options: Any) -> Any:
            if kill.is_of_another(client):
                return method(client, *args, **options)
            kill.begins(client, kind_of(*args, **options))
            done = method(client, *args, **options)
            kill.goes_on()
            return done

        return until_killed

    effects = (
        (requests.Session, "request", _kind_of_request),
        (httpx.Client, "send", lambda request, **_: f"{request.method} Deepgram"),
        (pubsub_v1.PublisherClient, "publish", lambda topic, *_, **__: f"publish {topic.rpartition('/')[2]}"),
        (pubsub_v1.SubscriberClient, "acknowledge", lambda **_: "acknowledge"),
    )
    with nullcontext(monkeypatch) if has_threads else monkeypatch.context() as patched:
        for cls, name, kind_of in effects:
            patched.setattr(cls, name, watched(getattr(cls, name), kind_of))
        try:
            yield kill
        except ProcessKilled:
            assert kill.happened
        finally:
            kill.is_over = True


def _kind_of_request(method: str, url: str, *_: object, data: object = None, **__: object) -> str | None:
    return None if method in READS else kind_of_write(method, url, data)
