"""What the laptop's HTTP servers have in common."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
import requests

from infra.emulators.http_server import HttpServer
from tests.support.waiting import PATIENCE


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("greeter")
    app.add_url_rule("/", view_func=lambda: "hello")
    return app


def test_the_url_is_known_before_the_start_and_an_early_client_waits(app: flask.Flask) -> None:
    server = HttpServer(app)
    with ThreadPoolExecutor() as pool:
        early = pool.submit(requests.get, server.url, timeout=PATIENCE)
        with server:
            assert early.result().text == "hello"


def test_after_stop_connections_are_refused(app: flask.Flask) -> None:
    with HttpServer(app) as server:
        assert requests.get(server.url, timeout=PATIENCE).text == "hello"
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=PATIENCE)


def test_stop_cuts_a_request_in_flight(app: flask.Flask) -> None:
    entered, released = threading.Event(), threading.Event()

    def hang() -> str:
        entered.set()
        released.wait(PATIENCE)
        return "too late"

    app.add_url_rule("/hang", view_func=hang)
    with ThreadPoolExecutor() as pool:
        try:
            with HttpServer(app) as server:
                answer = pool.submit(requests.get, f"{server.url}/hang", timeout=2 * PATIENCE)
                assert entered.wait(PATIENCE)
            with pytest.raises(requests.ConnectionError):
                answer.result(PATIENCE / 2)
        finally:
            released.set()


def test_requests_are_answered_side_by_side(app: flask.Flask) -> None:
    together = threading.Barrier(4)
    app.add_url_rule("/meet", "meet", view_func=lambda: str(together.wait(PATIENCE)))
    with HttpServer(app) as server, ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda _: requests.get(f"{server.url}/meet", timeout=PATIENCE).text, range(4))
        assert sorted(answers) == ["0", "1", "2", "3"]


def test_requests_leave_no_lines_on_stderr(app: flask.Flask, capfd: pytest.CaptureFixture[str]) -> None:
    with HttpServer(app) as server:
        requests.get(server.url, timeout=PATIENCE)
    assert capfd.readouterr() == ("", "")


def test_a_server_that_was_never_started_can_be_stopped_and_one_that_was_can_be_stopped_twice(app: flask.Flask) -> None:
    HttpServer(app).stop()
    server = HttpServer(app)
    server.start()
    server.stop()
    server.stop()
