"""Eventarc for one function: events about objects are posted until they are accepted."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

import requests

from infra.emulators.cloud_events import Event, finalized, new_traceparent
from infra.emulators.server import Server

_log = logging.getLogger(__name__)


class _Delivery(NamedTuple):
    """An event on its way; the earliest due sorts first. Times in seconds, on the monotonic clock."""

    due: float
    number: int
    backoff: float
    event: Event


class Eventarc(Server):
    """Posts events to `url` at least once: what gets no 2xx is sent again, after pauses that double up to the longest.

    All times in seconds. Events given before `url` is known wait for it; `url` may be changed at any time.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        first_backoff: float = 10.0,
        max_backoff: float = 600.0,
        timeout: float = 600.0,
        max_in_flight: int = 8,
    ) -> None:
        self._url = url
        self._first_backoff = first_backoff
        self._max_backoff = max_backoff
        self._timeout = timeout
        self._changed = threading.Condition()
        self._events: dict[str, Event] = {}
        self._waiting: list[_Delivery] = []
        self._in_flight = 0
        self._numbers = count()
        self._stopping = False
        self._delivered = 0
        self._retried = 0
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
        """Attempts that were answered with 2xx."""
        return self._delivered

    @property
    def retried(self) -> int:
        """Attempts that failed and will be made again."""
        return self._retried

    def start(self) -> None:
        """Post from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Post nothing more; an answer that is still awaited counts no longer. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def deliver(self, resource: Mapping[str, object]) -> None:
        """Announce that the Cloud Storage object `resource` is complete; returns at once."""
        self.publish(finalized(resource))

    def redeliver(self, event_id: str) -> None:
        """Send an event of the past once more, as Eventarc now and then does; KeyError if there was none."""
        self.publish(self._events[event_id])

    def publish(self, event: Event) -> None:
        """Send `event` as it is; returns at once."""
        with self._changed:
            self._events[event.id] = event
            heapq.heappush(self._waiting, _Delivery(time.monotonic(), next(self._numbers), self._first_backoff, event))
            self._changed.notify_all()

    def wait_idle(self, timeout: float) -> None:
        """Return when no event waits or is in flight; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._waiting and not self._in_flight, timeout):
                raise TimeoutError(f"{len(self._waiting) + self._in_flight} events are on their way after {timeout} s")

    def _work(self) -> None:
        while (next_delivery := self._take()) is not None:
            url, delivery = next_delivery
            accepted = self._post(url, delivery.event)
            with self._changed:
                self._in_flight -= 1
                if self._stopping:
                    return
                if accepted:
                    self._delivered += 1
                else:
                    self._retried += 1
                    backoff = min(2 * delivery.backoff, self._max_backoff)
                    again = delivery._replace(due=time.monotonic() + delivery.backoff, backoff=backoff)
                    heapq.heappush(self._waiting, again)
                self._changed.notify_all()

    def _take(self) -> tuple[str, _Delivery] | None:
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

    def _post(self, url: str, event: Event) -> bool:
        """Whether the function accepted the event."""
        headers = {**event.headers(), "traceparent": new_traceparent()}
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy stands between this machine and itself
                answer = session.post(url, event.body, headers=headers, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            _log.info("event %s was not delivered: %s", event.id, error)
            return False
        _log.info("event %s: status %d", event.id, answer.status_code)
        return 200 <= answer.status_code < 300
