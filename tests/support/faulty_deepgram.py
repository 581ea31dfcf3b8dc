"""A Deepgram stand-in that fails on demand."""

from __future__ import annotations

import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

import flask
from werkzeug.http import HTTP_STATUS_CODES

from infra.emulators.deepgram_server import DeepgramServer
from infra.emulators.processes import ProcessGroup
from infra.emulators.transcriber_process import TranscribedFile
from shared.deepgram_request import DeepgramRequest
from tests.support.forked_process import ForkedProcessGroup
from tests.support.waiting import PATIENCE

ERRORS = {
    402: ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
    429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later."),
}
"""Deepgram's names; other statuses go by their HTTP names."""

Fault = Callable[[], flask.Response | None]


@dataclass(frozen=True)
class Posted:
    """An answer on its way to a callback address."""

    address: str
    body: Any


class FaultyDeepgramServer(DeepgramServer):
    """Each request meets the oldest fault that no request has met yet."""

    def __init__(
        self, model: str, api_key: str, log: Path, process_type: type[ProcessGroup] = ForkedProcessGroup
    ) -> None:
        super().__init__(model, api_key, log, process_type)
        self._stopping = threading.Event()
        self._faults: deque[Fault] = deque()
        self._kept: Queue[Posted] | None = None
        self.seconds_without_words: float | None = None
        """While it is set, every recording is so long and has no words."""
        self.app.before_request(self._next_fault)

    def transcribed(self, path: Path, sha256: str, request: DeepgramRequest) -> TranscribedFile:
        """What the model hears, or nothing."""
        if self.seconds_without_words is not None:
            return TranscribedFile((), 1, self.seconds_without_words)
        return super().transcribed(path, sha256, request)

    def fail_next(self, count: int, status: int) -> None:
        """Answer the next `count` requests with `status`, and transcribe nothing."""
        self._faults.extend([lambda: _failure(status)] * count)

    def stall_next(self, count: int, seconds: float) -> None:
        """Begin the work on each of the next `count` requests only after `seconds`."""
        self._faults.extend([lambda: _hang_up() if self._stopping.wait(seconds) else None] * count)

    def stall_until(self, event: threading.Event) -> None:
        """Begin the work on the next request only when the event is set, or PATIENCE is over."""
        self._faults.append(lambda: None if event.wait(PATIENCE) else _hang_up())

    def cut_next(self, count: int) -> None:
        """Close the connections of the next `count` requests without an answer."""
        self._faults.extend([_hang_up] * count)

    def keep_posts(self) -> Queue[Posted]:
        """From now on answers are put here instead of being posted, as if they had been taken."""
        self._kept = Queue()
        return self._kept

    def post(self, address: str, body: object) -> int | None:
        """As Deepgram does, or for the test to do it."""
        if self._kept is None:
            return super().post(address, body)
        self._kept.put(Posted(address, body))
        return 200

    def recover(self) -> None:
        """Forget the faults that no request has met yet, and post answers again."""
        self._faults.clear()
        self._kept = None
        self.seconds_without_words = None

    def stop(self) -> None:
        """Stop as every server does, stalled requests included."""
        self._stopping.set()
        super().stop()

    def _next_fault(self) -> flask.Response | None:
        with suppress(IndexError):
            return self._faults.popleft()()
        return None


class RememberingDeepgramServer(FaultyDeepgramServer):
    """Hears a recording once, and answers from memory when it comes again: for tests of what asks it."""

    def __init__(self, model: str, api_key: str, log: Path) -> None:
        super().__init__(model, api_key, log)
        self._known: dict[tuple[str, DeepgramRequest], TranscribedFile] = {}

    def transcribed(self, path: Path, sha256: str, request: DeepgramRequest) -> TranscribedFile:
        if self.seconds_without_words is not None:
            return super().transcribed(path, sha256, request)  # which is not to be remembered
        asked = (sha256, request)
        if asked not in self._known:
            self._known[asked] = super().transcribed(path, sha256, request)
        return self._known[asked]


def _failure(status: int) -> flask.Response:
    name = HTTP_STATUS_CODES.get(status, "Unknown")
    code, message = ERRORS.get(status, (name.upper().replace(" ", "_"), f"{name}."))
    return flask.make_response({"err_code": code, "err_msg": message, "request_id": str(uuid.uuid4())}, status)


def _hang_up() -> flask.Response:
    with suppress(OSError):  # the client was faster
        flask.request.get_data(cache=False)  # in the middle of a large body it would not notice for minutes
        flask.request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return flask.Response()
