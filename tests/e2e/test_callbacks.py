"""Deepgram's callback, from call to outcome: the real functions-framework over HTTP, whoever else posts to it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from infra.emulators.cloud import CloudOptions, LaptopCloud
from infra.recordings import recording
from tests.support.deepgram_callbacks import changed
from tests.support.faulty_cloud import FaultyLaptopCloud
from tests.support.faulty_deepgram import FaultyDeepgramServer, Posted
from tests.support.user_client import UserClient, bill_lines, user_client_of
from tests.support.waiting import PATIENCE, wait_until

CALL = recording("call").path
FRAMEWORK_BYTES = 10 * 2**20
"""What functions-framework takes by itself."""
MAX_BYTES = 12 * 2**20


@contextmanager
def called_back(root: Path, read_seconds: float) -> Iterator[FaultyLaptopCloud]:
    """A cloud in which every answer of Deepgram is posted, and has to arrive in so much time."""
    settings = {
        "DEEPGRAM_CALLBACK_MINUTES": "0",
        "DEEPGRAM_CALLBACK_MAX_BYTES": str(MAX_BYTES),
        "DEEPGRAM_CALLBACK_READ_SECONDS": str(read_seconds),
    }
    with FaultyLaptopCloud(root, CloudOptions(settings=settings, reconcile_seconds=3600)) as running:
        running.deepgram.callback_delay_seconds = 0.2
        yield running


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyLaptopCloud]:
    with called_back(tmp_path_factory.mktemp("cloud"), PATIENCE) as running:
        yield running


@pytest.fixture
def user(cloud: LaptopCloud) -> UserClient:
    return user_client_of(cloud)


def dropped(cloud: LaptopCloud, user: UserClient) -> tuple[str, Posted]:
    """An upload, and the answer about it that Deepgram is about to post."""
    assert isinstance(cloud.deepgram, FaultyDeepgramServer)
    posts = cloud.deepgram.keep_posts()
    name = user.drop(CALL, f"calls/{time.monotonic_ns()}.opus", method="deepgram")
    return name, posts.get(timeout=PATIENCE)


@pytest.fixture
def posted(cloud: FaultyLaptopCloud, user: UserClient) -> Iterator[tuple[str, Posted]]:
    """The same, in the cloud of all tests."""
    yield dropped(cloud, user)
    cloud.deepgram.recover()


def post(address: str, body: bytes) -> int:
    return requests.post(address, data=body, timeout=PATIENCE).status_code


def test_deepgrams_callback_ends_the_job(cloud: LaptopCloud, user: UserClient) -> None:
    message = user.outcome(user.drop(CALL, "calls/called-back.opus", method="deepgram"))
    assert message["outcome"] == "completed", message["reason"]
    assert user.engines(message) == {"deepgram"}
    assert bill_lines(message) == ["deepgram nova-3", "cloud storage egress"]
    call = cloud.deepgram.requests[-1]
    assert call.callback is not None
    assert wait_until(lambda: cloud.deepgram.requests[-1].posted, "the callback's answer") == (200,)
    # Its address is in no log.
    token = call.callback.split("token=")[1]
    assert not [log for log in cloud.logs.iterdir() if token in log.read_text(errors="replace")]


def test_a_callback_that_meets_a_fault_comes_again(cloud: FaultyLaptopCloud, user: UserClient) -> None:
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix="calls/again.opus/")
    message = user.outcome(user.drop(CALL, "calls/again.opus", method="deepgram"))
    assert message["outcome"] == "completed", message["reason"]
    assert bill_lines(message) == ["deepgram nova-3", "cloud storage egress"]
    assert wait_until(lambda: cloud.deepgram.requests[-1].posted[1:], "the second post") == (200,)
    assert cloud.deepgram.requests[-1].posted == (500, 200)


def test_a_large_answer_is_taken_and_a_larger_one_is_not(user: UserClient, posted: tuple[str, Posted]) -> None:
    name, one = posted
    body = json.dumps(one.body).encode()
    assert post(one.address, body + b" " * MAX_BYTES) == 413
    # Without a length in front, too.
    chunks = (b" " * 2**20 for _ in range(MAX_BYTES // 2**20 + 2))
    assert requests.post(one.address, data=chunks, timeout=PATIENCE).status_code == 413
    assert user.message_count(name) == 0
    assert post(one.address, body + b" " * (FRAMEWORK_BYTES + 1)) == 200
    assert user.outcome(name)["outcome"] == "completed"


def test_a_forged_body_that_comes_byte_by_byte_holds_nobody(posted: tuple[str, Posted]) -> None:
    parts = urlsplit(changed(posted[1].address, token="0" * 64))
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as connection:
        head = f"POST {parts.path or '/'}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BYTES}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")
        connection.settimeout(0.05)

        def is_closed() -> bool:
            try:
                connection.sendall(b" ")
                return not connection.recv(1000)
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(is_closed, "the connection to be closed")


def test_a_forged_callback_is_refused_before_its_body_has_come(user: UserClient, posted: tuple[str, Posted]) -> None:
    name, one = posted
    parts = urlsplit(changed(one.address, token="0" * 64))
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.putrequest("POST", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(MAX_BYTES))
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()
    assert user.message_count(name) == 0
    assert post(one.address, json.dumps(one.body).encode()) == 200
    assert user.outcome(name)["outcome"] == "completed"


def test_a_body_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with called_back(tmp_path, read_seconds=0.5) as cloud:
        user = user_client_of(cloud)
        name, one = dropped(cloud, user)
        body = json.dumps(one.body).encode()
        for pause in (PATIENCE, 0.05):
            assert answer_to_slow_body(one.address, body, pause).startswith(b"HTTP/1.1 408 ")
        assert user.message_count(name) == 0
        # As Deepgram does, which posts again what came too late.
        wait_until(lambda: post(one.address, body) == 200, "the answer in time")
        assert user.outcome(name)["outcome"] == "completed"


def answer_to_slow_body(address: str, body: bytes, pause: float) -> bytes:
    """The beginning of the answer to a body of which 10 bytes come at once, and one more each `pause` seconds."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as connection:
        head = f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:10])
        connection.settimeout(pause)
        for sent in range(10, len(body)):
            try:
                return connection.recv(100)
            except TimeoutError:
                connection.sendall(body[sent : sent + 1])
    raise AssertionError("the whole body was taken")
