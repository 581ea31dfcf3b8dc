"""A laptop cloud in which requests to Cloud Storage, Pub/Sub, Cloud Run and Deepgram meet faults."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import flask
import grpc
from werkzeug.wrappers import Response

from infra.emulators.cloud import STATE, UPLOADS, CloudOptions, LaptopCloud
from infra.emulators.deepgram_server import DeepgramServer
from infra.emulators.pubsub.server import PubSubServer
from tests.chaos.faults import LATE_SECONDS, Fault, Faults, Service
from tests.support.forked_process import ForkedProcessGroup

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]

_UNSAFE_TO_FAIL = frozenset({"CreateTopic", "CreateSubscription"})
"""Calls of those who set the cloud up."""


_OPEN_EXECUTION = re.compile(r"open-executions/(.+)\.json")


@dataclass
class TaskAttempt:
    """A process of a job execution, as the machine saw it. Times on the monotonic clock."""

    execution: str
    number: int
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    exit_code: int | None = None

    @property
    def task(self) -> str:
        """What lines of bills and the state bucket call it."""
        return f"{self.execution}/0-{self.number}"


@dataclass(frozen=True)
class DeepgramAnswer:
    """An answer of Deepgram to a call by URL. Times on the monotonic clock."""

    upload: str
    """Name of the object."""
    began: float
    at: float
    is_lost: bool
    """On the wire: the connection ended, or the client had given up."""
    number: int
    """Of the request, among all of the server's."""


class ChaosCloud(LaptopCloud):
    """Its processes start without imports of their own."""

    deepgram: _CallingDeepgramServer

    def __init__(self, root: Path, options: CloudOptions, faults: Faults) -> None:
        self._faults = faults
        self.attempts: list[TaskAttempt] = []
        """Every process of an execution so far."""
        self.first_words: dict[str, float] = {}
        self.last_words: dict[str, float] = {}
        """By task: when what it says of its cost was first and last stored."""
        self.answers: list[DeepgramAnswer] = []
        self.process_type = _timed(self.attempts)
        self.deepgram_server_type = _CallingDeepgramServer
        super().__init__(root, options)
        self.deepgram.faults = faults
        for service, server in (
            (Service.STORAGE, self.storage_server),
            (Service.RUN, self.runner),
            (Service.DEEPGRAM, self.deepgram),
        ):
            server.app.wsgi_app = _FailingApp(server.app.wsgi_app, faults, service)  # type: ignore[method-assign]
        self.deepgram.app.before_request(self._note_call)
        self.deepgram.app.after_request(self._note_answer)

    def pubsub_server_type(self) -> PubSubServer:
        """A server whose calls meet faults."""
        return PubSubServer([_FailingCalls(self._faults)])

    def billed_answers(self) -> list[DeepgramAnswer]:
        """Those for which Deepgram transcribed something: not, where it only took the call, and posted why it failed.

        One that it posts is lost where nobody ever took it.
        """
        billed = []
        for answer in self.answers:
            request = self.deepgram.requests[answer.number]
            if request.audio_seconds is not None:
                is_lost = answer.is_lost if request.callback is None else 200 not in request.posted
                billed.append(replace(answer, is_lost=is_lost))
        return billed

    def _finalized(self, resource: Mapping[str, object]) -> None:
        if (task := _OPEN_EXECUTION.fullmatch(str(resource["name"]))) and resource["bucket"] == STATE:
            self.last_words[task[1]] = time.monotonic()
            self.first_words.setdefault(task[1], self.last_words[task[1]])
        seconds = self._faults.hold_event() if resource["bucket"] == UPLOADS else None
        if seconds is None:
            super()._finalized(resource)
        else:
            later = threading.Timer(seconds, super()._finalized, [resource])
            later.daemon = True
            later.start()

    def _note_call(self) -> None:
        flask.g.began = time.monotonic()

    def _note_answer(self, response: flask.Response) -> flask.Response:
        body = flask.request.get_json(silent=True) if flask.request.is_json else None
        if response.status_code == 200 and isinstance(body, dict):
            name = unquote(urlsplit(str(body.get("url"))).path).split("/", 2)[2]
            is_lost = bool(flask.request.environ.get(_LOST))
            self.answers.append(DeepgramAnswer(name, flask.g.began, time.monotonic(), is_lost, flask.g.number))
        return response


def _timed(attempts: list[TaskAttempt]) -> type[ForkedProcessGroup]:
    """Processes of which those of executions are written down."""

    class TimedProcessGroup(ForkedProcessGroup):
        def __init__(
            self, command: Sequence[str], env: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()
        ) -> None:
            super().__init__(command, env, log, pass_fds)
            self._attempt = None
            if execution := env.get("CLOUD_RUN_EXECUTION"):
                self._attempt = TaskAttempt(execution, int(env["CLOUD_RUN_TASK_ATTEMPT"]))
                attempts.append(self._attempt)

        def poll(self) -> int | None:
            code = super().poll()
            if code is not None and self._attempt is not None and self._attempt.ended is None:
                self._attempt.ended, self._attempt.exit_code = time.monotonic(), code
            return code

    return TimedProcessGroup


class _CallingDeepgramServer(DeepgramServer):
    """Its posts meet faults, and some come twice."""

    callback_delay_seconds = 1.0
    faults: Faults

    def post(self, address: str, body: object) -> int | None:
        fault = self.faults.draw(Service.CALLBACK)
        if fault is Fault.DELAYED:
            self.faults.delay()
        elif fault is Fault.LATE:
            time.sleep(self.faults.late_seconds(Service.CALLBACK))
        elif fault in (Fault.REFUSED, Fault.RESET):
            return None
        status = super().post(address, body)
        # Taken, of which Deepgram hears nothing: it posts the answer again.
        return None if fault is Fault.LOST else status


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
        if fault is Fault.LATE:
            return self._late(environ, start_response)
        if fault is Fault.LOST:
            environ[_LOST] = True
            for _ in self._app(environ, lambda *_: lambda _: None):
                pass
        with suppress(OSError):  # the client was faster
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response()(environ, start_response)

    def _late(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        seconds = self._faults.late_seconds(self._service)
        environ[_LOST] = seconds >= max(LATE_SECONDS[self._service])
        answer = Response.from_app(self._app, environ, buffered=True)
        time.sleep(seconds)
        return answer(environ, start_response)


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
            elif fault is Fault.LATE:
                answer = handler.unary_unary(request, context)
                time.sleep(self._faults.late_seconds(Service.PUBSUB))
                return answer
            elif fault is Fault.LOST:
                handler.unary_unary(request, context)
            if fault in (Fault.REFUSED, Fault.RESET, Fault.LOST):
                context.abort(grpc.StatusCode.UNAVAILABLE, "Injected.")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )
