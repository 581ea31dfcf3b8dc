"""How a subscription was asked for: its settings, their defaults and their limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infra.emulators.pubsub.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

DELETED_TOPIC = "_deleted-topic_"

DEFAULT_ACK_DEADLINE = 10  # seconds
MIN_ACK_DEADLINE = 10  # seconds
MAX_ACK_DEADLINE = 600  # seconds
MAX_BACKOFF = 600.0  # seconds
DEFAULT_MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rest of a message between two attempts: doubling from `minimum` to `maximum` seconds."""

    minimum: float = 10.0
    maximum: float = MAX_BACKOFF

    def rest(self, failures: int) -> float:
        """Seconds until a message that failed `failures` times, at least once, is delivered again."""
        doublings = min(failures - 1, 64)  # more would overflow a float long after reaching any maximum
        return min(self.maximum, self.minimum * 2.0**doublings)

    def check(self) -> None:
        """Raise InvalidArgumentError unless 0 <= minimum <= maximum <= MAX_BACKOFF."""
        if not 0 <= self.minimum <= self.maximum <= MAX_BACKOFF:
            raise InvalidArgumentError(
                f"The backoff of {self.minimum:g} s to {self.maximum:g} s is not within 0 s to {MAX_BACKOFF:g} s."
            )


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Where a message goes after so many failed attempts."""

    topic: str
    max_attempts: int = DEFAULT_MAX_ATTEMPTS

    def check(self) -> None:
        """Raise InvalidArgumentError unless 5 <= max_attempts <= 100."""
        if not 5 <= self.max_attempts <= 100:
            raise InvalidArgumentError(f"max_delivery_attempts is {self.max_attempts}; it must be between 5 and 100.")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A pull subscription's settings; `filter` is the text it was given, `ack_deadline` is in seconds."""

    name: str
    topic: str
    ack_deadline: int = DEFAULT_ACK_DEADLINE
    retry: RetryPolicy | None = None
    dead_letter: DeadLetterPolicy | None = None
    filter: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise InvalidArgumentError unless every setting is within the service's limits."""
        check_ack_deadline(self.ack_deadline, MIN_ACK_DEADLINE)
        for policy in (self.retry, self.dead_letter):
            if policy is not None:
                policy.check()


def check_ack_deadline(seconds: int, minimum: int) -> None:
    """Raise InvalidArgumentError unless minimum <= seconds <= MAX_ACK_DEADLINE."""
    if not minimum <= seconds <= MAX_ACK_DEADLINE:
        raise InvalidArgumentError(f"An ack deadline of {seconds} s is not within {minimum} s to {MAX_ACK_DEADLINE} s.")
