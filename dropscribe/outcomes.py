"""Outcomes as they are published: for programs with a subscription of their own to the topic of results."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

from google.api_core.exceptions import DeadlineExceeded
from google.cloud.pubsub_v1 import SubscriberClient

from shared.messages import TerminalMessage

PULL_SECONDS = 1.0


def outcomes(
    subscriber: SubscriberClient, subscription: str, wanted: Collection[str], timeout: float | None = None
) -> Iterator[TerminalMessage | None]:
    """The terminal messages of the jobs `wanted`, each once, until all came; None whenever a second passes.

    A message delivered twice, or of another job, is acknowledged and left out. TimeoutError after `timeout` seconds.
    """
    waiting = set(wanted)
    deadline = None if timeout is None else time.monotonic() + timeout
    while waiting:
        try:
            pulled = subscriber.pull(subscription=subscription, max_messages=100, timeout=PULL_SECONDS, retry=None)
            received = list(pulled.received_messages)
        except DeadlineExceeded:
            received = []
        for one in received:
            message = TerminalMessage.model_validate_json(one.message.data)
            if message.job_id in waiting:
                waiting.remove(message.job_id)
                yield message
            subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id])
        if waiting and deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"no outcome of {len(waiting)} uploads within {timeout:g} s")
        if not received:
            yield None
