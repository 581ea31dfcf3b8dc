"""One StreamingPull: messages go down the stream while acknowledgements come up it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.backlog import FlowWindow
from infra.emulators.pubsub.errors import InvalidArgumentError, PubSubError
from infra.emulators.pubsub.subscriptions import MIN_ACK_DEADLINE, check_ack_deadline
from infra.emulators.pubsub.wire import write_deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.emulators.pubsub.broker import Broker
    from infra.emulators.pubsub.wire import Proto

logger = logging.getLogger(__name__)

FIRST_REQUEST_ONLY = ("subscription", "max_outstanding_messages", "max_outstanding_bytes")

STREAMING_PULL_RESPONSE = types.StreamingPullResponse.pb()


class PullStream:
    """The stream that the request `first` opens; raises InvalidArgumentError."""

    def __init__(self, broker: Broker, first: Proto) -> None:
        check_ack_deadline(first.stream_ack_deadline_seconds, MIN_ACK_DEADLINE)
        self._broker = broker
        self._first = first
        self._subscription: str = first.subscription
        self._ack_deadline: int = first.stream_ack_deadline_seconds
        self._window = FlowWindow(first.max_outstanding_messages, first.max_outstanding_bytes)
        self._failure: PubSubError | None = None
        self._closed = False

    def responses(self, requests: Iterator[Proto]) -> Iterator[Proto]:
        """What goes down the stream until either side ends it, `requests` being what comes up; raises PubSubError."""
        self._settle(self._first)
        # Waiting for the next request blocks, and so does waiting for messages: each takes a thread.
        threading.Thread(target=self._follow, args=(requests,), name="pubsub-stream", daemon=True).start()
        while not self._closed:
            deliveries = self._broker.wait_for_messages(
                self._subscription, self._window, given_up=lambda: self._closed, ack_deadline=self._ack_deadline
            )
            if deliveries:
                yield STREAMING_PULL_RESPONSE(received_messages=write_deliveries(deliveries))
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let `responses` end, even while it waits."""
        self._closed = True
        self._broker.wake()

    def _follow(self, requests: Iterator[Proto]) -> None:
        try:
            for request in requests:
                self._adjust(request)
                self._settle(request)
        except PubSubError as error:
            self._failure = error
        except grpc.RpcError:
            logger.debug("stream on %s was cut", self._subscription)
        finally:
            self.close()

    def _adjust(self, request: Proto) -> None:
        for name in FIRST_REQUEST_ONLY:
            if getattr(request, name):
                raise InvalidArgumentError(f"{name} may only be set in the first request of a stream.")
        if request.stream_ack_deadline_seconds:
            check_ack_deadline(request.stream_ack_deadline_seconds, MIN_ACK_DEADLINE)
            self._ack_deadline = request.stream_ack_deadline_seconds

    def _settle(self, request: Proto) -> None:
        if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
            raise InvalidArgumentError("modify_deadline_ack_ids and modify_deadline_seconds differ in length.")
        deadlines = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
        with self._broker.topics() as topics:
            topics.acknowledge(self._subscription, request.ack_ids)
            topics.modify_ack_deadlines(self._subscription, deadlines)
