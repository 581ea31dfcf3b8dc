"""Pub/Sub that answers every call with UNAVAILABLE for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc


class PubSubOutage(grpc.ServerInterceptor):
    """Put before a PubSubServer's methods; without effect until `lasts()` is entered."""

    def __init__(self) -> None:
        self._is_down = False

    @contextmanager
    def lasts(self) -> Iterator[None]:
        """While it is entered nothing is published and nothing pulled."""
        self._is_down = True
        try:
            yield
        finally:
            self._is_down = False

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """As gRPC asks for it."""
        return (
            grpc.unary_unary_rpc_method_handler(_unavailable) if self._is_down else continuation(handler_call_details)
        )


def _unavailable(_: object, context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "Pub/Sub is down.")
