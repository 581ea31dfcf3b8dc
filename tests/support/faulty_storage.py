"""A storage server that fails on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flask import Response, request

from infra.emulators.storage.errors import StorageError
from infra.emulators.storage.object_store import ObjectKey
from infra.emulators.storage.server import StorageServer

_NO_FAULT = 200


@dataclass(slots=True)
class _Fault:
    remaining: int
    status: int
    method: str | None
    name_prefix: str
    before: bool
    message: str

    def matches(self, method: str, name: str) -> bool:
        return self.remaining > 0 and self.method in {None, method} and name.startswith(self.name_prefix)


class Call(NamedTuple):
    """One request."""

    method: str
    """Of HTTP; `LIST` for a listing, `BUCKET` for a look at the bucket itself."""
    bucket: str
    name: str
    """Of the object; of a listing the prefix."""


class FaultyStorageServer(StorageServer):
    """Of the faults that match a request, the oldest is used up first."""

    def __init__(self, root: Path, *args: Any, **options: Any) -> None:
        super().__init__(root, *args, **options)
        self._faults: list[_Fault] = []
        self._faults_lock = threading.Lock()
        self._held: tuple[str, str, threading.Event] | None = None
        self._calls: list[Call] | None = None
        self._broken = (0, 0)
        self._damaged_from: int | None = None
        self._ranges: list[str] = []

    def fail_next(
        self,
        count: int,
        status: int = 503,
        method: str | None = None,
        name_prefix: str = "",
        before: bool = True,
        message: str = "This fault was injected by a test.",
    ) -> None:
        """Answer the next `count` requests for one object with an error; those of `method` and `name_prefix` only.

        With `before=False` the request is carried out first and just its answer is lost. A resumable upload is one
        POST and a PUT for each chunk; listing is no request for one object.
        """
        with self._faults_lock:
            self._faults.append(_Fault(count, status, method, name_prefix, before, message))

    def recover(self) -> None:
        """Forget the faults that no request has met yet."""
        with self._faults_lock:
            self._faults.clear()

    @contextmanager
    def hold(self, method: str, name_prefix: str) -> Iterator[None]:
        """While it is entered, requests of `method` for objects of that prefix get no answer."""
        released = threading.Event()
        self._held = (method, name_prefix, released)
        try:
            yield
        finally:
            self._held = None
            released.set()

    def break_downloads(self, count: int, after_bytes: int) -> None:
        """End the connection of the next `count` downloads that are longer, after so many bytes of their content."""
        self._broken = (count, after_bytes)

    def damage_downloads(self, from_bytes: int | None) -> None:
        """From now on, flip the bits of the first byte of every download that begins there or later; None: no more."""
        self._damaged_from = from_bytes

    @property
    def ranges(self) -> list[str]:
        """The Range of each download so far, as it was asked for."""
        return list(self._ranges)

    def _media(self, key: ObjectKey) -> Response:
        response = super()._media(key)
        self._ranges.append(request.headers.get("Range", ""))
        begin = re.match(r"bytes=(\d+)-", self._ranges[-1])
        if self._damaged_from is not None and begin is not None and int(begin[1]) >= self._damaged_from:
            response.response = _with_first_byte_flipped(response.response)
        with self._faults_lock:
            count, after_bytes = self._broken
            is_broken = count > 0 and (response.content_length or 0) > after_bytes
            self._broken = (count - is_broken, after_bytes)
        if is_broken:
            response.response = _broken_off(response.response, after_bytes)
        return response

    def answer_next(self, count: int, method: str, name_prefix: str) -> None:
        """Leave the next `count` such requests as they are, before faults that are named later."""
        self.fail_next(count, _NO_FAULT, method, name_prefix)

    @contextmanager
    def counted(self) -> Iterator[list[Call]]:
        """The requests that come while it is entered, in their order."""
        self._calls = calls = []
        try:
            yield calls
        finally:
            self._calls = None

    def _answer(self) -> Response:
        bucket, _, name = request.environ["REQUEST_URI"].partition("?")[0].partition("/b/")[2].partition("/o")
        if self._calls is not None and bucket and request.method == "GET" and not name.strip("/"):
            is_listing = request.environ["REQUEST_URI"].partition("?")[0].endswith("/o")
            self._calls.append(Call("LIST" if is_listing else "BUCKET", bucket, request.args.get("prefix", "")))
        return super()._answer()

    @contextmanager
    def during(self, method: str, key: ObjectKey):
        if self._calls is not None:
            self._calls.append(Call(method, *key))
        if (held := self._held) and method == held[0] and key.name.startswith(held[1]):
            held[2].wait()
        fault = self._take(method, key.name)
        is_fault = fault is not None and fault.status != _NO_FAULT
        error = StorageError(fault.status, "InternalError", fault.message) if is_fault else None
        if error and fault.before:
            raise error
        try:
            yield
        finally:
            if error:
                raise error

    def _take(self, method: str, name: str) -> _Fault | None:
        with self._faults_lock:
            fault = next((fault for fault in self._faults if fault.matches(method, name)), None)
            if fault:
                fault.remaining -= 1
            return fault


def _with_first_byte_flipped(blocks: Iterable[Any]) -> Iterator[bytes]:
    for number, block in enumerate(blocks):
        yield bytes([block[0] ^ 0xFF]) + block[1:] if number == 0 else block


def _broken_off(blocks: Iterable[Any], after_bytes: int) -> Iterator[bytes]:
    left = after_bytes
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            raise ConnectionAbortedError("a test breaks the connection")
