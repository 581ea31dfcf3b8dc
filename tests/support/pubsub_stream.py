"""A StreamingPull whose requests the test writes itself, which Google's high-level subscriber does not allow."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Self

from google.api_core import exceptions
from google.pubsub_v1.types import StreamingPullRequest

from tests.support.pubsub_clients import PATIENCE

if TYPE_CHECKING:
    from google.pubsub_v1.types import ReceivedMessage

    from tests.support.pubsub_clients import PubSub


class PullStream:
    """Open from its entry on; `first` are further fields of its first request."""

    def __init__(self, pubsub: PubSub, subscription: str, seconds: int = 10, **first: int) -> None:
        self._pubsub = pubsub
        self._requests: queue.SimpleQueue[StreamingPullRequest | None] = queue.SimpleQueue()
        self._received: queue.SimpleQueue[ReceivedMessage] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read)
        self.send(subscription=subscription, stream_ack_deadline_seconds=seconds, **first)

    def send(self, **request: object) -> None:
        self._requests.put(StreamingPullRequest(**request))

    def get(self) -> ReceivedMessage:
        return self._received.get(timeout=PATIENCE)

    def has_more(self, seconds: float) -> bool:
        """Whether another message arrives within so long; takes it if one does."""
        try:
            self._received.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def end(self) -> None:
        """Send no more."""
        self._requests.put(None)

    def cut(self) -> None:
        """End the stream the hard way."""
        self._call.cancel()

    def wait(self) -> None:
        """Until the server ends the stream; raises what it ended it with."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        requests = iter(self._requests.get, None)
        self._call = self._pubsub.subscriber.streaming_pull(requests=requests, retry=None, timeout=PATIENCE)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        try:
            for response in self._call:
                for received in response.received_messages:
                    self._received.put(received)
        except exceptions.GoogleAPICallError as error:
            self._error = error
