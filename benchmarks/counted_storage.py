"""A storage server that counts what its clients ask: calls by purpose, and how often one object is written."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from flask import Response, request

from infra.emulators.cloud import RESULTS, UPLOADS
from infra.emulators.storage.object_store import ObjectKey
from infra.emulators.storage.server import StorageServer

PURPOSES = (
    (UPLOADS, "GET", r".*", "read the upload"),
    (UPLOADS, "", r".*", "put the upload there (its owner)"),
    (RESULTS, "", r".*", "store results"),
    ("", "LIST", r"open/.*", "list the backlog"),
    ("", "LIST", r"executions/.*", "list execution slots"),
    ("", "LIST", r"ledger/.*", "sum the ledger"),
    ("", "", r"executions/[a-z]+/slot-.*", "hold execution slots"),
    ("", "", r"(open-)?executions/.*", "costs of executions"),
    ("", "", r"open/.*", "open marker"),
    ("", "", r"jobs/[^/]+/record\.json", "job record"),
    ("", "", r"jobs/[^/]+/outcome\.json", "outcome"),
    ("", "", r"jobs/[^/]+/parts/.*", "parts for the next attempt"),
    ("", "", r"ledger/.*", "ledger entry"),
)
"""Bucket, method (empty: any), pattern of the object's name (of a listing: of the prefix) and what it is for; the first
that fits."""

SHARED = "breaker, speeds, alerts, sweep"


class Call(NamedTuple):
    """One request."""

    at: float
    """On the monotonic clock."""
    method: str
    """Of HTTP, or LIST."""
    bucket: str
    name: str

    @property
    def purpose(self) -> str:
        """What it is for, in a few words."""
        for bucket, method, pattern, purpose in PURPOSES:
            if bucket in ("", self.bucket) and method in ("", self.method) and re.fullmatch(pattern, self.name):
                return purpose
        return SHARED


class CountedStorageServer(StorageServer):
    """Notes every request for an object, and every listing."""

    def __init__(self, root: Path, *arguments: Any) -> None:
        super().__init__(root, *arguments)
        self._calls: list[Call] = []
        self._calls_lock = threading.Lock()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The requests so far, in their order."""
        with self._calls_lock:
            return tuple(self._calls)

    def during(self, method: str, key: ObjectKey) -> AbstractContextManager[None]:
        """Count the request."""
        self._note(method, key.bucket, key.name)
        return super().during(method, key)

    def _answer(self) -> Response:
        path = request.environ["REQUEST_URI"].partition("?")[0]
        if request.method == "GET" and path.endswith("/o"):
            self._note("LIST", path.split("/")[-2], request.args.get("prefix", ""))
        return super()._answer()

    def _note(self, method: str, bucket: str, name: str) -> None:
        with self._calls_lock:
            self._calls.append(Call(time.monotonic(), method, bucket, name))


def by_purpose(calls: Iterable[Call]) -> Counter[str]:
    """How many calls each purpose took."""
    return Counter(call.purpose for call in calls)


def most_writes_of_one_object(calls: Iterable[Call], within_seconds: float) -> tuple[str, int]:
    """The object that was written most often within so many seconds, and how often; deletions are no writes."""
    written: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        if call.method in ("POST", "PATCH", "PUT"):
            written[f"{call.bucket}/{call.name}"].append(call.at)
    most = ("", 0)
    for name, times in written.items():
        first = 0
        for last, at in enumerate(times):
            while at - times[first] > within_seconds:
                first += 1
            most = max(most, (name, last - first + 1), key=lambda one: one[1])
    return most
