"""Eventarc's promises: CloudEvents in binary mode, at least once, until they are accepted."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote

import flask
import pytest

from infra.emulators.cloud_events import finalized
from infra.emulators.eventarc import Eventarc
from infra.emulators.http_server import HttpServer
from tests.support.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

QUICK = 0.01

RESOURCE = {"kind": "storage#object", "bucket": "uploads", "name": "calls/a.mp3", "generation": "1795208821483764"}


@dataclass(frozen=True)
class Request:
    time: float
    """Seconds, on the monotonic clock."""
    headers: Mapping[str, str]
    """Their names in lower case."""
    body: bytes


@dataclass
class Function:
    """Stands for the function: keeps its requests, and answers the n-th with the status `answer(n)`."""

    answer: Callable[[int], int] = lambda number: 200
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self) -> HttpServer:
        app = flask.Flask("function")
        app.add_url_rule("/", view_func=self._receive, methods=["POST"])
        return HttpServer(app)

    def _receive(self) -> tuple[str, int]:
        headers = {name.lower(): value for name, value in flask.request.headers}
        request = Request(time.monotonic(), headers, flask.request.get_data())
        with self.lock:
            self.requests.append(request)
            number = len(self.requests)
        return "", self.answer(number)

    @property
    def event_ids(self) -> list[str]:
        return [request.headers["ce-id"] for request in self.requests]


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """Ends what it is given."""
    with ExitStack() as stack:
        yield stack


def refuse(times: int, status: int = 500) -> Callable[[int], int]:
    return lambda number: status if number <= times else 200


def test_an_event_is_a_cloudevent_in_binary_mode_about_the_object(running: ExitStack) -> None:
    function = Function()
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    [request] = function.requests
    attributes = {name: value for name, value in request.headers.items() if name.startswith("ce-")}
    assert attributes.pop("ce-time").endswith("Z")
    assert attributes == {
        "ce-id": eventarc.events[0].id,
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/uploads",
        "ce-subject": "objects/calls/a.mp3",
        "ce-specversion": "1.0",
        "ce-bucket": "uploads",
    }
    assert request.headers["content-type"] == "application/json"
    # Cloud Run's, in W3C's form; the CloudEvent itself has none.
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", request.headers["traceparent"])
    assert json.loads(request.body) == RESOURCE
    assert (eventarc.delivered, eventarc.retried) == (1, 0)


def test_headers_are_percent_encoded_as_the_cloudevents_binding_says() -> None:
    name = 'Euro € 😀/"100%" [a+b]ü.mp3'
    subject = finalized({**RESOURCE, "name": name}).headers()["ce-subject"]
    assert subject == "objects/Euro%20%E2%82%AC%20%F0%9F%98%80/%22100%25%22%20[a+b]%C3%BC.mp3"
    assert unquote(subject) == f"objects/{name}"


def test_each_event_has_its_own_id(running: ExitStack) -> None:
    function = Function()
    eventarc = running.enter_context(Eventarc(running.enter_context(function.serve()).url))
    for _ in range(3):
        eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    assert len(set(function.event_ids)) == 3


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_whatever_is_not_2xx_is_sent_again_under_the_same_id(running: ExitStack, status: int) -> None:
    function = Function(refuse(2, status))
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=QUICK))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    assert function.event_ids == [eventarc.events[0].id] * 3
    assert (eventarc.delivered, eventarc.retried) == (1, 2)


def test_a_204_is_an_acceptance(running: ExitStack) -> None:
    function = Function(lambda number: 204)
    eventarc = running.enter_context(Eventarc(running.enter_context(function.serve()).url))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    assert len(function.requests) == 1


def test_a_refused_connection_is_tried_again(running: ExitStack) -> None:
    function = Function()
    bound_but_deaf = running.enter_context(socket.socket())
    bound_but_deaf.bind(("127.0.0.1", 0))
    port = bound_but_deaf.getsockname()[1]
    eventarc = running.enter_context(Eventarc(f"http://127.0.0.1:{port}", first_backoff=QUICK, max_backoff=QUICK))
    eventarc.deliver(RESOURCE)
    with pytest.raises(TimeoutError, match="1 events"):
        eventarc.wait_idle(0.1)
    eventarc.url = running.enter_context(function.serve()).url
    eventarc.wait_idle(PATIENCE)
    assert len(function.requests) == 1
    assert eventarc.retried > 0


def test_a_function_that_does_not_answer_in_time_gets_the_event_again(running: ExitStack) -> None:
    released = threading.Event()
    running.callback(released.set)

    def hang_at_first(number: int) -> int:
        return 200 if number > 1 or released.wait(PATIENCE) else 500

    function = Function(hang_at_first)
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=QUICK, timeout=0.5))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    assert function.event_ids == [eventarc.events[0].id] * len(function.requests)
    assert len(function.requests) >= 2


def test_events_wait_for_the_url(running: ExitStack) -> None:
    function = Function()
    eventarc = running.enter_context(Eventarc())
    eventarc.deliver(RESOURCE)
    eventarc.url = running.enter_context(function.serve()).url
    eventarc.wait_idle(PATIENCE)
    assert len(function.requests) == 1


def test_an_event_of_the_past_can_be_delivered_again(running: ExitStack) -> None:
    function = Function()
    eventarc = running.enter_context(Eventarc(running.enter_context(function.serve()).url))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    eventarc.redeliver(eventarc.events[0].id)
    eventarc.wait_idle(PATIENCE)
    assert function.requests[0].body == function.requests[1].body
    assert len(set(function.event_ids)) == 1
    with pytest.raises(KeyError):
        eventarc.redeliver("unknown")


def test_no_more_than_max_in_flight_are_sent_at_a_time(running: ExitStack) -> None:
    released = threading.Event()
    running.callback(released.set)
    function = Function(lambda number: 200 if released.wait(PATIENCE) else 500)
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, max_in_flight=2))
    for _ in range(6):
        eventarc.deliver(RESOURCE)
    with pytest.raises(TimeoutError, match="6 events"):
        eventarc.wait_idle(0.5)
    assert len(function.requests) <= 2
    released.set()
    eventarc.wait_idle(PATIENCE)
    assert eventarc.delivered == 6


def test_an_event_that_waits_for_its_next_attempt_is_in_nobodys_way(running: ExitStack) -> None:
    function = Function(refuse(1))
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=3600.0, max_in_flight=1))
    eventarc.deliver(RESOURCE)
    eventarc.deliver(RESOURCE)
    wait_until(lambda: eventarc.delivered, "the second event is delivered")
    assert (eventarc.delivered, eventarc.retried) == (1, 1)


def test_the_pauses_double(running: ExitStack) -> None:
    function = Function(refuse(3))
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=0.05))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)
    times = [request.time for request in function.requests]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert [pause >= least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True)] == [True] * 3


def test_the_pauses_grow_no_longer_than_the_longest(running: ExitStack) -> None:
    function = Function(refuse(14))
    url = running.enter_context(function.serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=QUICK, max_backoff=2 * QUICK))
    eventarc.deliver(RESOURCE)
    eventarc.wait_idle(PATIENCE)  # doubling without end would take 160 s
    assert eventarc.retried == 14


def test_stop_waits_neither_for_an_answer_nor_for_the_next_attempt(running: ExitStack) -> None:
    entered, released = threading.Event(), threading.Event()
    running.callback(released.set)

    def answer(number: int) -> int:
        if number == 1:
            return 500
        entered.set()
        released.wait(PATIENCE)
        return 200

    url = running.enter_context(Function(answer).serve()).url
    eventarc = running.enter_context(Eventarc(url, first_backoff=3600.0, max_in_flight=1))
    eventarc.deliver(RESOURCE)
    eventarc.deliver(RESOURCE)
    assert entered.wait(PATIENCE)
    eventarc.stop()
    assert not released.is_set()
    assert eventarc.delivered == 0
