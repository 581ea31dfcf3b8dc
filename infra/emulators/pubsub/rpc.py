"""gRPC methods without generated code: a handler is made of a function and one of Google's request classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn, TypeAlias

import grpc

from infra.emulators.pubsub.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    PubSubError,
    StoppedError,
    UnsupportedError,
)
from infra.emulators.pubsub.wire import Proto, ProtoClass

STATUS = {
    InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    StoppedError: grpc.StatusCode.UNAVAILABLE,
}

Context: TypeAlias = grpc.ServicerContext
Answer = Callable[[Proto, Context], Proto | None]
StreamAnswer = Callable[[Iterator[Proto], Context], Iterator[Proto]]


def unary(answer: Answer, request: ProtoClass) -> grpc.RpcMethodHandler:
    """One request and one answer, None being the empty message."""

    def handle(message: Proto, context: Context) -> Proto | None:
        try:
            return answer(message, context)
        except PubSubError as error:
            _abort(context, error)

    method: grpc.RpcMethodHandler = grpc.unary_unary_rpc_method_handler(handle, request.pb().FromString, _serialized)
    return method


def streaming(answer: StreamAnswer, request: ProtoClass) -> grpc.RpcMethodHandler:
    """Requests and answers, each in their own time."""

    def handle(messages: Iterator[Proto], context: Context) -> Iterator[Proto]:
        try:
            yield from answer(messages, context)
        except PubSubError as error:
            _abort(context, error)

    method: grpc.RpcMethodHandler = grpc.stream_stream_rpc_method_handler(handle, request.pb().FromString, _serialized)
    return method


def _serialized(message: Proto | None) -> bytes:
    return b"" if message is None else bytes(message.SerializeToString())


def _abort(context: Context, error: PubSubError) -> NoReturn:
    context.abort(STATUS[type(error)], str(error))
    raise AssertionError("context.abort raises")
