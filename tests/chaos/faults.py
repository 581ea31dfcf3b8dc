"""Which request meets which fault, by a seed."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Service(StrEnum):
    """Whose requests fail."""

    STORAGE = "storage"
    PUBSUB = "pubsub"
    RUN = "run"
    DEEPGRAM = "deepgram"
    CALLBACK = "callback"
    """Deepgram's posts to the deployment."""


class Fault(StrEnum):
    """What becomes of a request."""

    REFUSED = "refused"
    """503; nothing is done."""
    RESET = "reset"
    """The connection ends; nothing is done."""
    DELAYED = "delayed"
    """It is answered late."""
    LOST = "lost"
    """It is carried out, and the connection ends without an answer."""
    LATE = "late"
    """It is carried out, and answered behind the client's deadline."""


LATE_SECONDS: dict[Service, tuple[float, ...]] = {
    Service.STORAGE: (8.0, 65.0),
    Service.PUBSUB: (8.0, 35.0),
    Service.RUN: (8.0, 65.0),
    Service.DEEPGRAM: (17.0, 25.0),
    Service.CALLBACK: (8.0, 40.0),
}
"""How late an answer is: behind the short deadlines (a heartbeat's 5 s; for Deepgram 15 s, after which another engine
takes over), or behind all (the storage client's 60 s, 30 s of acknowledgements; for Deepgram 20 s)."""


@dataclass(frozen=True)
class FaultRates:
    """How often requests fail, in shares of all requests."""

    share: float = 0.1
    """Of every service's requests: a quarter of them each refused, reset, delayed, and done without an answer."""
    longest_delay_seconds: float = 1.0
    late_share: float = 0.01
    """Of the requests that fail: those that are answered too late."""
    held_events: float = 0.1
    """Share of the events of uploads that are delivered out of order, up to `longest_hold_seconds` late."""
    longest_hold_seconds: float = 30.0


class Faults:
    """Draws faults. Used from any thread. Nothing fails before `begin` and after `end`, but in an outage.

    The draws follow from the seed; which request meets which draw depends on the threads' order.
    """

    def __init__(self, seed: int, rates: FaultRates) -> None:
        self._random = random.Random(seed)
        self._rates = rates
        self._lock = threading.Lock()
        self._is_on = False
        self._outage_until: dict[Service, float] = {}
        self._injected: Counter[str] = Counter()

    def begin(self) -> None:
        """Let requests fail from now on."""
        self._is_on = True

    def end(self) -> None:
        """No further request fails."""
        with self._lock:
            self._is_on = False
            self._outage_until.clear()

    def outage(self, seconds: float, *services: Service) -> None:
        """Refuse every request to these services for so long."""
        with self._lock:
            self._outage_until |= dict.fromkeys(services, time.monotonic() + seconds)

    def draw(self, service: Service) -> Fault | None:
        """The fault that the next request to a service meets, if any."""
        with self._lock:
            fault = self._draw(service)
            if fault is not None:
                self._injected[f"{service} {fault}"] += 1
        return fault

    def delay(self) -> None:
        """Wait as a delayed request does."""
        with self._lock:
            seconds = self._random.uniform(0.0, self._rates.longest_delay_seconds)
        time.sleep(seconds)

    def late_seconds(self, service: Service) -> float:
        """How long the answer to a request of a service is held back, where it is late."""
        with self._lock:
            return self._random.choice(LATE_SECONDS[service])

    def hold_event(self) -> float | None:
        """Seconds for which the next upload's event is held back; None: it is not."""
        with self._lock:
            if not self._is_on or self._random.random() >= self._rates.held_events:
                return None
            self._injected["events held"] += 1
            return self._random.uniform(0.0, self._rates.longest_hold_seconds)

    @property
    def injected(self) -> Counter[str]:
        """How often each fault was met so far, by service."""
        with self._lock:
            return Counter(self._injected)

    def _draw(self, service: Service) -> Fault | None:
        if time.monotonic() < self._outage_until.get(service, 0.0):
            return Fault.REFUSED
        if not self._is_on or self._random.random() >= self._rates.share:
            return None
        if self._random.random() < self._rates.late_share:
            return Fault.LATE
        return self._random.choice([fault for fault in Fault if fault is not Fault.LATE])
