"""Eventarc for one function: events about objects are posted until they are accepted."""

from __future__ import annotations

import heapq
import http.client
import logging
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from infra.emulators.cloud_events import Event, finalized, new_traceparent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Delivery:
    """One copy of an event on its way; the earliest due sorts first. Times in seconds, on the monotonic clock."""

    due: float
    number: int
    expires: float
    backoff: float
    event: Event


class Eventarc:
    """Posts events to `url` at least once: what gets no 2xx is sent again, after pauses that double, until it expires.

    All times in seconds. Events given before `url` is known wait for it. Every event is sent `copies` times, as
    Eventarc now and then does; `url` and `copies` may be changed at any time.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        first_backoff: float = 10.0,
        max_backoff: float = 600.0,
        retention: float = 86_400.0,
        timeout: float = 600.0,
        max_in_flight: int = 8,
        copies: int = 1,
    ) -> None:
        self.copies = copies
        self._url = url
        self._first_backoff = first_backoff
        self._max_backoff = max_backoff
        self._retention = retention
        self._timeout = timeout
        self._changed = threading.Condition()
        self._events: dict[str, Event] = {}
        self._waiting: list[Delivery] = []
        self._open: set[socket.socket] = set()
        self._in_flight = 0
        self._numbered = 0
        self._stopping = False
        self._delivered = 0
        self._retried = 0
        self._dropped = 0
        self._threads = tuple(
            threading.Thread(target=self._work, name=f"eventarc-{number}", daemon=True)
            for number in range(max_in_flight)
        )

    @property
    def url(self) -> str | None:
        """Where events are posted to."""
        return self._url

    @url.setter
    def url(self, url: str) -> None:
        with self._changed:
            self._url = url
            self._changed.notify_all()

    @property
    def events(self) -> tuple[Event, ...]:
        """All events given so far, in their order."""
        with self._changed:
            return tuple(self._events.values())

    @property
    def delivered(self) -> int:
        """Copies that were answered with 2xx."""
        return self._delivered

    @property
    def retried(self) -> int:
        """Attempts that failed and were put back, to be made again."""
        return self._retried

    @property
    def dropped(self) -> int:
        """Copies that were given up because their retention had ended."""
        return self._dropped

    def start(self) -> None:
        """Post from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Post nothing more, cutting what is in flight; idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            for connection in self._open:
                with suppress(OSError):  # closed by the function
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def deliver(self, resource: Mapping[str, object]) -> None:
        """Announce that the Cloud Storage object `resource` is complete; returns at once."""
        self.publish(finalized(resource))

    def redeliver(self, event_id: str) -> None:
        """Send an event of the past once more, whatever became of it; KeyError if there was none."""
        with self._changed:
            self._enqueue(self._events[event_id])

    def publish(self, event: Event) -> None:
        """Send `event` as it is; returns at once."""
        with self._changed:
            self._events[event.id] = event
            for _ in range(self.copies):
                self._enqueue(event)

    def wait_idle(self, timeout: float) -> None:
        """Return when no event waits or is in flight; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting and not self._in_flight, timeout):
                raise TimeoutError(f"{len(self._waiting) + self._in_flight} events are on their way after {timeout} s")

    def _enqueue(self, event: Event) -> None:
        now = time.monotonic()
        self._numbered += 1
        expires = now + self._retention
        heapq.heappush(self._waiting, Delivery(now, self._numbered, expires, self._first_backoff, event))
        self._changed.notify_all()

    def _work(self) -> None:
        while (next_delivery := self._take()) is not None:
            url, delivery = next_delivery
            accepted = self._post(url, delivery.event)
            with self._changed:
                self._in_flight -= 1
                self._settle(delivery, accepted)
                self._changed.notify_all()

    def _take(self) -> tuple[str, Delivery] | None:
        """The next delivery, once it is due, and where to; None when it is time to stop."""
        with self._changed:
            while not self._stopping:
                if self._url is None or not self._waiting:
                    self._changed.wait()
                    continue
                pause = self._waiting[0].due - time.monotonic()
                if pause <= 0:
                    self._in_flight += 1
                    return self._url, heapq.heappop(self._waiting)
                self._changed.wait(pause)
        return None

    def _settle(self, delivery: Delivery, accepted: bool) -> None:
        due = time.monotonic() + delivery.backoff
        if accepted:
            self._delivered += 1
        elif due >= delivery.expires:
            self._dropped += 1
            logger.warning("event %s about %s is dropped", delivery.event.id, delivery.event.name)
        else:
            self._retried += 1
            backoff = min(2 * delivery.backoff, self._max_backoff)
            heapq.heappush(self._waiting, replace(delivery, due=due, backoff=backoff))

    def _post(self, url: str, event: Event) -> bool:
        """Whether the function accepted the event."""
        target = urlsplit(url)
        connection = http.client.HTTPConnection(target.netloc, timeout=self._timeout)
        try:
            connection.connect()
            with self._cut_at_stop(connection.sock):
                headers = {**event.headers(), "traceparent": new_traceparent()}
                connection.request("POST", target.path or "/", event.body, headers)
                response = connection.getresponse()
                response.read()
        except (OSError, http.client.HTTPException) as error:
            logger.info("event %s: %s", event.id, error)
            return False
        finally:
            connection.close()
        logger.info("event %s: status %d", event.id, response.status)
        return 200 <= response.status < 300

    @contextmanager
    def _cut_at_stop(self, connection: socket.socket) -> Iterator[None]:
        with self._changed:
            if self._stopping:
                raise ConnectionAbortedError("stopping")
            self._open.add(connection)
        try:
            yield
        finally:
            with self._changed:
                self._open.discard(connection)
