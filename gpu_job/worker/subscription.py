"""Work items pulled from Pub/Sub: leased while the worker has them, acknowledged when their part is stored."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from google.api_core.exceptions import (
    Aborted,
    DeadlineExceeded,
    Forbidden,
    InternalServerError,
    ResourceExhausted,
    ServiceUnavailable,
    Unauthorized,
    Unknown,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud import pubsub_v1
from pydantic import ValidationError

from gpu_job.periodic import PeriodicTask
from shared.errors import best_effort
from shared.messages import WorkItem
from shared.telemetry import tracing

_log = logging.getLogger(__name__)

MAX_HOLD_SECONDS = 600
"""Pub/Sub holds an item back for so long at most."""

ACK_DEADLINE_SECONDS = 60
"""How long Pub/Sub waits for us between two prolongations; a killed worker's items return after this time."""

CALL_TIMEOUT_SECONDS = 30.0

FIRST_PULL_SECONDS = 20.0
"""Longest wait in a pull before Pub/Sub has answered one: a cold instance sets up token and channel within it, which
takes several seconds."""

PAUSE_SECONDS = 2.0
"""After a pull that failed, unless the pull itself was to take less."""

TRANSIENT = (
    *(Aborted, InternalServerError, ResourceExhausted, ServiceUnavailable, Unknown, GoogleAuthError),
    *(Forbidden, Unauthorized),
)
"""What Pub/Sub answers now and then, and a permission that is missing for a while; the next pull may succeed. Anything
else ends the worker."""


@dataclass(frozen=True)
class Received:
    """A work item with the id that acknowledges it."""

    item: WorkItem
    ack_id: str | None
    """None for an item resumed from its record, whose message will come again by itself."""
    traceparent: str | None = None
    """The span that queued it, as W3C Trace Context writes it."""


class WorkSubscription(PeriodicTask):
    """Items of one subscription. Everything pulled is prolonged by a thread of its own until it is given back."""

    def __init__(self, subscriber: pubsub_v1.SubscriberClient, subscription: str) -> None:
        super().__init__("ack-deadlines", ACK_DEADLINE_SECONDS / 3)
        self._subscriber = subscriber
        self._subscription = subscription
        self.has_answered = False
        """Whether Pub/Sub has answered a pull: only then is a queue without messages known to be empty."""
        self._held: set[str] = set()
        self._lock = threading.Lock()

    def pull(self, limit: int, timeout: float) -> list[Received]:
        """Up to `limit` items, waiting at most `timeout` seconds for the first. Items that cannot be read go back."""
        try:
            response = self._subscriber.pull(
                subscription=self._subscription, max_messages=limit, timeout=max(1.0, timeout), retry=None
            )
        except DeadlineExceeded:
            # An empty queue's pull is held open for longer than this, so with so much time there was an answer to come.
            self.has_answered = self.has_answered or timeout >= FIRST_PULL_SECONDS
            return []
        except TRANSIENT:
            _log.warning("pull failed", exc_info=True)
            self._left.wait(min(timeout, PAUSE_SECONDS))
            return []
        self.has_answered = True
        received: list[Received] = []
        readable: list[str] = []
        for message in response.received_messages:
            try:
                item = WorkItem.model_validate_json(message.message.data)
            except ValidationError as error:
                # Not ours to drop: after its last delivery it lies in the dead-letter topic for a person.
                _log.error("unreadable work item", extra={"fields": {"errors": str(error)}})
                self._deadline([message.ack_id], 0)
                continue
            readable.append(message.ack_id)
            traceparent = message.message.attributes.get(tracing.TRACEPARENT)
            received.append(Received(item, message.ack_id, traceparent))
        if readable:
            with self._lock:
                self._held.update(readable)
            self._deadline(readable, ACK_DEADLINE_SECONDS)
        return received

    def done(self, ack_id: str) -> None:
        """The item's part is stored: it must not come again."""
        self._let_go(ack_id)
        # Else the item comes again, and whoever gets it finds the outcome and acknowledges it.
        with best_effort("an item was not acknowledged"):
            self._subscriber.acknowledge(
                subscription=self._subscription, ack_ids=[ack_id], timeout=CALL_TIMEOUT_SECONDS
            )

    def give_back(self, ack_id: str, after_seconds: int = 0) -> None:
        """Somebody else shall have the item, at once or after a while (at most MAX_HOLD_SECONDS)."""
        self._let_go(ack_id)
        self._deadline([ack_id], min(MAX_HOLD_SECONDS, after_seconds))

    def _let_go(self, ack_id: str) -> None:
        with self._lock:
            self._held.discard(ack_id)

    def tick(self) -> None:
        """Keep what is held ours for another while."""
        with self._lock:
            held = list(self._held)
        if held:
            self._deadline(held, ACK_DEADLINE_SECONDS)

    def _deadline(self, ack_ids: list[str], after_seconds: int) -> None:
        # Else the item returns early; whoever gets it finds this worker's claim and leaves it alone.
        with best_effort("ack deadlines were not changed"):
            self._subscriber.modify_ack_deadline(
                subscription=self._subscription,
                ack_ids=ack_ids,
                ack_deadline_seconds=after_seconds,
                timeout=CALL_TIMEOUT_SECONDS,
            )
