"""Pub/Sub that answers every call with UNAVAILABLE, or another error, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc


class PubSubOutage(grpc.ServerInterceptor):
    """Put before a PubSubServer's methods; without effect until `lasts()` is entered."""

    def __init__(self) -> None:
        self._answer: grpc.StatusCode | None = None

    @contextmanager
    def lasts(self, answer: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Iterator[None]:
        """While it is entered nothing is published and nothing pulled: this is the answer to every call."""
        self._answer = answer
        try:
            yield
        finally:
            self._answer = None

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """As gRPC asks for it."""
        answer = self._answer
        if answer is None:
            return continuation(handler_call_details)

        def abort(_: object, context: grpc.ServicerContext) -> None:
            context.abort(answer, "Pub/Sub is down.")

        return grpc.unary_unary_rpc_method_handler(abort)
