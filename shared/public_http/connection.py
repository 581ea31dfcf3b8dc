"""Connections to exactly the address that was checked, each call of which ends by a deadline.

The name is resolved here, once for each connection, and what is connected to is an address of that answer: a name
server that answers otherwise the next time is not asked again. TLS is verified against the name.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from httpcore2 import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from shared.errors import FailureKind
from shared.public_http.addresses import Address, is_public, parse_address
from shared.public_http.errors import RequestFailed, UrlRefused

Resolver = Callable[[str, int], Sequence[str]]
"""Host and port -> addresses as text, best first. Raises OSError where there are none."""

MAX_ADDRESSES_TRIED = 4
"""Of one name."""


def system_resolver(host: str, port: int) -> Sequence[str]:
    """By the operating system; the name as it is, without the domains that its settings would append."""
    name = host if parse_address(host) is not None else f"{host}."
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True)
class Deadline:
    """When a request has to be over."""

    at: float
    """By time.monotonic()."""

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_seconds(self) -> float:
        """At least 0."""
        return max(0.0, self.at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left_seconds <= 0


class CheckedBackend(NetworkBackend):
    """Resolves, checks, and connects to what it checked."""

    def __init__(self, resolve: Resolver, also_allowed: frozenset[Address], deadline: Deadline) -> None:
        self._resolve = resolve
        self._also_allowed = also_allowed
        self._deadline = deadline
        self._plain = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Raises UrlRefused where the host has any address that is not public, RequestFailed where it has none."""
        error: Exception = ConnectTimeout()
        for address in self._checked(host, port)[:MAX_ADDRESSES_TRIED]:
            seconds = _within(self._deadline, timeout, ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (ConnectError, ConnectTimeout) as failure:
                error = failure
            else:
                return _DeadlineStream(stream, self._deadline)
        raise error

    def _checked(self, host: str, port: int) -> list[Address]:
        texts = [host] if parse_address(host) is not None else self._resolved(host, port)
        addresses = [parse_address(text) for text in texts]
        # One that is not public among others is a name that was made to be: none of them is asked.
        if any(each is None or not (is_public(each) or each in self._also_allowed) for each in addresses):
            raise UrlRefused(f"{host} is not on the public Internet.")
        return [each for each in addresses if each is not None]

    def _resolved(self, host: str, port: int) -> Sequence[str]:
        # The system's call has no time limit of its own. A thread that outlives it ends with the call.
        answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=self._deadline.left_seconds)
        except queue.Empty:
            raise RequestFailed(f"{host} was not resolved in time.", FailureKind.TIMEOUT) from None
        if isinstance(answer, Exception) or not answer:
            raise RequestFailed(f"{host} has no address.")
        return answer


class _DeadlineStream(NetworkStream):
    """A stream whose calls end by the deadline, however little the other side sends at a time."""

    def __init__(self, stream: NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _within(self._deadline, timeout, ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        while view:  # a piece at a time: each has the whole timeout below
            piece, view = view[:_WRITTEN_BYTES], view[_WRITTEN_BYTES:]
            self._stream.write(bytes(piece), _within(self._deadline, timeout, WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        seconds = _within(self._deadline, timeout, ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


_WRITTEN_BYTES = 64 * 1024


def _within(deadline: Deadline, timeout: float | None, error: type[Exception]) -> float:
    """Seconds for one call. Raises `error` where none are left: a socket's timeout of 0 would mean not to block."""
    left = deadline.left_seconds
    if left <= 0:
        raise error("the time for the whole request is over")
    return left if timeout is None else min(timeout, left)
