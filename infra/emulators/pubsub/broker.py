"""Topics that threads share, and the place where a pull waits for a message."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.emulators.pubsub.errors import StoppedError
from infra.emulators.pubsub.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.emulators.pubsub.backlog import FlowWindow
    from infra.emulators.pubsub.messages import Delivery


class Broker:
    """One lock around the topics; who waits sleeps until somebody changes something or a lease runs out.

    There is no thread that watches leases: time only matters while somebody waits, so who waits moves it on.
    """

    def __init__(self) -> None:
        self._topics = Topics()
        self._changed = threading.Condition()
        self._stopped = False

    @contextmanager
    def topics(self) -> Iterator[Topics]:
        """The topics for this thread alone; raises StoppedError."""
        with self._changed:
            self._check_running()
            yield self._topics
            self._changed.notify_all()

    def wake(self) -> None:
        """Let all who wait ask again whether they should."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """End all waiting with StoppedError."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_for_messages(
        self,
        subscription: str,
        window: FlowWindow,
        given_up: Callable[[], bool],
        ack_deadline: int | None = None,
        seconds: float = math.inf,
    ) -> list[Delivery]:
        """What can be delivered, as soon as something can; nothing once `seconds` are over or `given_up` says so.

        `given_up` is asked with the lock held, and again at every `wake`. Raises StoppedError, and as `deliver` does.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                self._check_running()
                self._topics.pass_time()
                if given_up():
                    return []
                deliveries = self._topics.deliver(subscription, window, ack_deadline)
                if deliveries:
                    self._changed.notify_all()  # these leases may run out before the others mean to wake
                    return deliveries
                left = until - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(min(left, self._topics.quiet_seconds(), threading.TIMEOUT_MAX))

    def _check_running(self) -> None:
        if self._stopped:
            raise StoppedError("The Pub/Sub server is stopping.")
