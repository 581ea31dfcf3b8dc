"""A laptop cloud in which requests to Cloud Storage, Pub/Sub, Cloud Run and Deepgram meet faults."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import flask
import grpc
from werkzeug.wrappers import Response

from infra.emulators.cloud import UPLOADS, CloudOptions, LaptopCloud
from infra.emulators.pubsub.server import PubSubServer
from tests.chaos.faults import Fault, Faults, Service
from tests.support.forked_process import ForkedProcessGroup

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]

_UNSAFE_TO_FAIL = frozenset({"CreateTopic", "CreateSubscription"})
"""Calls of those who set the cloud up."""


class ChaosCloud(LaptopCloud):
    """Its processes start without imports of their own."""

    process_type = ForkedProcessGroup

    def __init__(self, root: Path, options: CloudOptions, faults: Faults) -> None:
        self._faults = faults
        super().__init__(root, options)
        self.answered_by_deepgram: list[str] = []
        """Names of the uploads of Deepgram's answers to calls by URL, those lost on the wire included."""
        self.lost_by_deepgram: list[str] = []
        """Of them those whose answer was lost on the wire."""
        for service, server in (
            (Service.STORAGE, self.storage_server),
            (Service.RUN, self.runner),
            (Service.DEEPGRAM, self.deepgram),
        ):
            server.app.wsgi_app = _FailingApp(server.app.wsgi_app, faults, service)  # type: ignore[method-assign]
        self.deepgram.app.after_request(self._note_answer)

    def pubsub_server_type(self) -> PubSubServer:
        """A server whose calls meet faults."""
        return PubSubServer([_FailingCalls(self._faults)])

    def _note_answer(self, response: flask.Response) -> flask.Response:
        body = flask.request.get_json(silent=True) if flask.request.is_json else None
        if response.status_code == 200 and isinstance(body, dict):
            name = unquote(urlsplit(str(body.get("url"))).path).split("/", 2)[2]
            self.answered_by_deepgram.append(name)
            if flask.request.environ.get(_LOST):
                self.lost_by_deepgram.append(name)
        return response


_USERS_UPLOADS = f"/upload/storage/v1/b/{UPLOADS}/"
"""Where only those who drop files write: how they repeat a failed upload is not the deployment's matter."""

_LOST = "dropscribe.answer-is-lost"


class _FailingApp:
    """WSGI: an app whose requests meet the faults of a service."""

    def __init__(self, app: App, faults: Faults, service: Service) -> None:
        self._app = app
        self._faults = faults
        self._service = service

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        is_users = environ["PATH_INFO"].startswith(_USERS_UPLOADS)
        fault = None if is_users else self._faults.draw(self._service)
        if fault is Fault.DELAYED:
            self._faults.delay()
        if fault is None or fault is Fault.DELAYED:
            return self._app(environ, start_response)
        if fault is Fault.REFUSED:
            return Response("Injected.", 503)(environ, start_response)
        if fault is Fault.LOST:
            environ[_LOST] = True
            for _ in self._app(environ, lambda *_: lambda _: None):
                pass
        with suppress(OSError):  # the client was faster
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response()(environ, start_response)


class _FailingCalls(grpc.ServerInterceptor):  # type: ignore[misc]
    """gRPC: unary calls that meet Pub/Sub's faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = continuation(details)
        if handler is None or details.method.rpartition("/")[2] in _UNSAFE_TO_FAIL:
            return handler

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            fault = self._faults.draw(Service.PUBSUB)
            if fault is Fault.DELAYED:
                self._faults.delay()
            elif fault is Fault.LOST:
                handler.unary_unary(request, context)
            if fault in (Fault.REFUSED, Fault.RESET, Fault.LOST):
                context.abort(grpc.StatusCode.UNAVAILABLE, "Injected.")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )
