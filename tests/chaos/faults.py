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


@dataclass(frozen=True)
class FaultRates:
    """How often requests fail, in shares of all requests."""

    share: float = 0.1
    """Of every service's requests: a quarter of them each refused, reset, delayed, and done without an answer."""
    longest_delay_seconds: float = 1.0


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

    def outage(self, service: Service, seconds: float) -> None:
        """Refuse every request to a service for so long."""
        with self._lock:
            self._outage_until[service] = time.monotonic() + seconds

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
        return self._random.choice(list(Fault))
