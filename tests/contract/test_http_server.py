"""What the laptop's HTTP servers have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:PORT"}, 200),
        ({"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "example.com:PORT"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Host": "example.com", "Origin": "http://example.com", "Sec-Fetch-Site": "same-origin"}, 421),
        ({"Origin": "https://example.com", "Content-Type": "text/plain"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_other_names_and_pages_of_other_origins_set_nothing_off(
    app: flask.Flask, headers: dict[str, str], status: int
) -> None:
    called: list[bytes] = []

    def change() -> str:
        called.append(flask.request.get_data())
        return ""

    app.add_url_rule("/change", view_func=change, methods=["POST"])
    with HttpServer(app) as server:
        sent = {name: value.replace("PORT", str(server.port)) for name, value in headers.items()}
        answer = requests.post(f"{server.url}/change", b"x", headers=sent, timeout=PATIENCE)
    assert (answer.status_code, called) == (status, [b"x"] if status == 200 else [])


def test_a_link_from_another_page_is_followed(app: flask.Flask) -> None:
    with HttpServer(app) as server:
        assert requests.get(server.url, headers={"Sec-Fetch-Site": "cross-site"}, timeout=PATIENCE).text == "hello"


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


def test_one_connection_carries_one_request_after_another_whatever_is_left_of_their_bodies(app: flask.Flask) -> None:
    app.add_url_rule("/refuse", "refuse", view_func=lambda: ("no", 403), methods=["POST"])
    app.add_url_rule("/none", "none", view_func=lambda: ("", 204), methods=["POST"])
    app.add_url_rule("/port", "port", view_func=lambda: str(flask.request.environ["REMOTE_PORT"]))
    with HttpServer(app) as server, requests.Session() as session:
        before = session.get(f"{server.url}/port", timeout=PATIENCE).text
        for path, status in (("refuse", 403), ("none", 204), ("refuse", 403)):
            answer = session.post(f"{server.url}/{path}", b"GET / HTTP/1.1\r\n\r\n" * 100_000, timeout=PATIENCE)
            assert answer.status_code == status
        parts = iter([b"GET /", b" HTTP/1.1"])
        assert session.post(f"{server.url}/refuse", parts, timeout=PATIENCE).text == "no"
        assert session.get(f"{server.url}/port", timeout=PATIENCE).text == before


def test_an_answer_of_unknown_length_ends_with_its_connection(app: flask.Flask) -> None:
    app.add_url_rule("/parts", "parts", view_func=lambda: flask.Response(iter([b"one", b"", b"two"])))
    with HttpServer(app) as server, requests.Session() as session:
        for _ in range(2):
            answer = session.get(f"{server.url}/parts", timeout=PATIENCE)
            assert (answer.content, answer.headers["Connection"]) == (b"onetwo", "close")
        assert session.get(server.url, timeout=PATIENCE).text == "hello"


def test_an_answer_that_breaks_is_no_whole_one(app: flask.Flask) -> None:
    def parts() -> Iterator[bytes]:
        yield b"one"
        raise ConnectionAbortedError("on purpose")

    app.add_url_rule("/parts", "parts", view_func=lambda: flask.Response(parts(), headers={"Content-Length": "6"}))
    with HttpServer(app) as server, requests.Session() as session:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(f"{server.url}/parts", timeout=PATIENCE)
        assert session.get(server.url, timeout=PATIENCE).text == "hello"


def test_stop_ends_connections_that_wait_for_a_next_request(app: flask.Flask) -> None:
    before = set(threading.enumerate())
    with HttpServer(app) as server, requests.Session() as session:
        session.get(server.url, timeout=PATIENCE)
        (*_, handler) = set(threading.enumerate()) - before
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(server.url, timeout=PATIENCE)
        handler.join(PATIENCE)
        assert not handler.is_alive()
