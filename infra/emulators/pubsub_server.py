"""Pub/Sub over gRPC on loopback, as Google's own client speaks it when PUBSUB_EMULATOR_HOST is set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import grpc

from infra.emulators.pubsub.broker import Broker
from infra.emulators.pubsub.publisher import Publisher
from infra.emulators.pubsub.subscriber import Subscriber

if TYPE_CHECKING:
    from types import TracebackType

WORKERS = 256
"""Threads at most. An open pull or stream keeps one for as long as it lasts, and the many short calls must find one
left. They are started as they are needed; past so many calls at once, gRPC answers RESOURCE_EXHAUSTED at once."""

GRACE_SECONDS = 1.0
"""For answers that are being sent at `stop()`."""

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not something to share
    ("grpc.max_receive_message_length", -1),  # so that what is too large is refused in Pub/Sub's own words
    # Google's client pings each 30 s; a server that thinks this too often (default: 5 min) closes the connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class PubSubServer:
    """Topics and subscriptions in memory, served on 127.0.0.1, by default on a free port; usable once.

    The port is bound at construction, so `address` can be handed out before `start()`.
    """

    def __init__(self, port: int = 0) -> None:
        self._broker = Broker()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="pubsub")
        self._server = grpc.server(
            self._workers,
            handlers=[Publisher(self._broker).rpcs(), Subscriber(self._broker).rpcs()],
            options=OPTIONS,
            maximum_concurrent_rpcs=WORKERS,
        )
        self._port = self._server.add_insecure_port(f"127.0.0.1:{port}")

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, for PUBSUB_EMULATOR_HOST."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._server.start()

    def stop(self) -> None:
        """End open pulls and streams with UNAVAILABLE and free the port; idempotent."""
        self._broker.stop()
        self._server.stop(GRACE_SECONDS).wait()
        self._workers.shutdown()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
