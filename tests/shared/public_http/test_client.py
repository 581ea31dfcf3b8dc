"""Requests to given URLs, against servers on loopback: where they go, where they do not, and when they end."""

from __future__ import annotations

import gzip
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from shared.errors import DropscribeError, FailureKind
from shared.public_http.client import MAX_ANSWER_BYTES, Limits, PublicHttp, TestingAccess
from shared.public_http.errors import RequestFailed, TooLarge, UrlRefused
from tests.support.tls_server import Authority, NameServer, Received, TlsServer, access, redirect, response
from tests.support.waiting import PATIENCE

HOST = "media.example.com"
PLENTY = 1_000_000
PATIENT = Limits(total_seconds=PATIENCE, connect_seconds=PATIENCE, silent_seconds=PATIENCE)
SHORT_SECONDS = 0.4
"""What a server that stalls is given."""


class Site:
    """A public server, an inner one that must never be reached, and the name server that knows both."""

    def __init__(self, authority: Authority) -> None:
        self.names = NameServer()
        self.names.answers[HOST] = [["127.0.0.1"]]
        self.client_context = authority.client_context()
        self.server = TlsServer(authority.server_context(HOST, "other.example.com"))
        self.http = PublicHttp(access(self.names, self.client_context))

    def url(self, path: str = "/a.mp3", host: str = HOST) -> str:
        return f"https://{host}:{self.server.port}{path}"

    def fetched(self, path: str = "/a.mp3", *, max_bytes: int = PLENTY, limits: Limits = PATIENT) -> bytes:
        out = io.BytesIO()
        with self.http.get(self.url(path), max_bytes, limits) as answer:
            answer.copy_to(out)
        return out.getvalue()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def site(authority: Authority) -> Iterator[Site]:
    site = Site(authority)
    with site.server:
        yield site


def test_a_file_comes_whole_from_the_host_that_was_asked_for(site: Site) -> None:
    body = bytes(range(256)) * 1000
    site.server.answers["/a.mp3"] = response(body, "Content-Type: audio/mpeg", "content-type: text/html")
    out = io.BytesIO()
    with site.http.get(site.url("/a.mp3?sig=1"), PLENTY, PATIENT) as answer:
        assert (answer.length, answer.headers["content-type"], answer.is_gzip) == (len(body), "audio/mpeg", False)
        assert answer.copy_to(out) == len(body)
    assert out.getvalue() == body
    (request,) = site.server.received
    assert (request.method, request.target, request.server_name) == ("GET", "/a.mp3?sig=1", HOST)
    assert request.headers == {
        "host": f"{HOST}:{site.server.port}",
        "user-agent": "dropscribe",
        "connection": "close",
        "accept-encoding": "identity",
    }


def test_chunks_are_joined_and_a_break_in_them_is_no_end(site: Site) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    site.server.answers["/whole"] = head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    site.server.answers["/broken"] = head + b"3\r\nabc\r\n"
    assert site.fetched("/whole") == b"abcde"
    with pytest.raises(RequestFailed, match="broke"):
        site.fetched("/broken")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "broke"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", "Content-Length"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "broke"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "broke"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "broke"),
        (b"", "broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, "broke"),
        (response(b"x", status="206 Partial Content"), "status 206"),
        (response(b"x", status="401 No"), "status 401"),
        (response(b"x", status="503 Later"), "status 503"),
        (response(b"", status="304 Same"), "status 304"),
        (response(b"", status="302 Found"), "without saying where"),
        (response(b"x", "Content-Encoding: br"), "packed"),
        (response(b"x", "Content-Encoding: gzip, gzip"), "packed"),
    ],
)
def test_what_is_no_whole_file_is_an_error(site: Site, answer: bytes, why: str) -> None:
    site.server.answers["/a.mp3"] = answer
    with pytest.raises(RequestFailed, match=why):
        site.fetched()


def test_statuses_say_whether_another_try_may_help(site: Site) -> None:
    kinds = {
        401: FailureKind.CREDENTIALS,
        404: FailureKind.REFUSED,
        429: FailureKind.RATE_LIMIT,
        503: FailureKind.NETWORK,
    }
    for status, kind in kinds.items():
        site.server.answers["/a.mp3"] = response(b"", status=f"{status} x")
        with pytest.raises(RequestFailed) as failure:
            site.fetched()
        assert failure.value.kind == kind


def test_a_packed_body_is_handed_on_as_it_comes(site: Site) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    site.server.answers["/a.mp3"] = response(bomb, "Content-Encoding: gzip")
    out = io.BytesIO()
    with site.http.get(site.url(), PLENTY, PATIENT) as answer:
        assert answer.is_gzip
        answer.copy_to(out)
    assert out.getvalue() == bomb


def test_too_many_bytes_are_refused_by_the_header_and_by_counting(site: Site) -> None:
    site.server.answers["/stated"] = response(bytes(1001))
    chunk = b"100\r\n" + bytes(256) + b"\r\n"
    site.server.answers["/counted"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5
    site.server.answers["/both"] = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5
    )
    for path in ("/stated", "/counted", "/both"):
        out = io.BytesIO()
        with pytest.raises(TooLarge, match="1,000 bytes"), site.http.get(site.url(path), 1000, PATIENT) as answer:
            answer.copy_to(out)
        assert len(out.getvalue()) <= 1000
    site.server.answers["/fits"] = response(bytes(1000))
    assert len(site.fetched("/fits", max_bytes=1000)) == 1000


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.2"],
        ["64:ff9b::7f00:2"],
        ["fe80::1%lo"],
        ["127.0.0.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1"],
        ["not an address"],
    ],
)
def test_a_name_that_is_not_on_the_internet_is_not_connected_to(site: Site, addresses: list[str]) -> None:
    site.names.answers[HOST] = [addresses]
    with pytest.raises(UrlRefused) as refused:
        site.fetched()
    assert refused.value.reason == f"{HOST} is not on the public Internet."
    assert site.server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"])
def test_an_address_that_is_not_public_is_not_connected_to(site: Site, host: str) -> None:
    for send in (
        lambda: site.http.get(site.url(host=host), PLENTY, PATIENT).__enter__(),
        lambda: site.http.post(site.url(host=host), b"", {}, PATIENT),
    ):
        with pytest.raises(UrlRefused, match="not on the public Internet"):
            send()
    assert (site.server.connections, site.names.asked) == (0, [])


def test_loopback_is_not_public_without_being_told(site: Site) -> None:
    site.http = PublicHttp(access(site.names, site.client_context, loopback=False))
    with pytest.raises(UrlRefused, match="not on the public Internet"):
        site.fetched()
    assert site.server.connections == 0


def test_nothing_in_the_environment_opens_a_deployment(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{site.server.port}")
    http = PublicHttp()
    for url in (site.url(host="127.0.0.1"), site.url()):
        with pytest.raises(UrlRefused, match="port"):
            http.post(url, b"", {}, PATIENT)
    http = PublicHttp(TestingAccess(resolve=site.names))
    with pytest.raises(UrlRefused, match="not on the public Internet"):
        http.post(f"https://{HOST}/", b"", {}, PATIENT)
    assert site.server.connections == 0


def test_a_name_is_asked_once_for_each_connection_and_that_answer_is_used(site: Site) -> None:
    """DNS rebinding: the second answer is inside."""
    site.names.answers[HOST] = [["127.0.0.1"], ["127.0.0.2"]]
    site.server.answers["/a.mp3"] = response(b"abc")
    assert site.fetched() == b"abc"
    assert site.names.asked == [HOST]
    with pytest.raises(UrlRefused):
        site.fetched()
    assert site.server.connections == 1


def test_a_redirect_is_resolved_and_checked_anew(site: Site) -> None:
    site.names.answers[HOST] = [["127.0.0.1"], ["127.0.0.2"]]
    site.server.answers["/a.mp3"] = redirect("/b.mp3")
    with pytest.raises(UrlRefused, match="not on the public Internet"):
        site.fetched()
    assert site.server.connections == 1


def test_redirects_lead_to_other_hosts_with_no_more_than_the_first_was_told(site: Site) -> None:
    site.names.answers["other.example.com"] = [["127.0.0.1"]]
    site.server.answers["/a.mp3"] = redirect(site.url("/b.mp3", "other.example.com"), "308 Moved")
    site.server.answers["/b.mp3"] = response(b"abc", "Set-Cookie: a=b")
    with site.http.get(site.url(), PLENTY, PATIENT) as answer:
        answer.copy_to(out := io.BytesIO())
        assert str(answer.url) == site.url("/b.mp3", "other.example.com")
    assert out.getvalue() == b"abc"
    first, second = site.server.received
    assert (first.server_name, second.server_name) == (HOST, "other.example.com")
    assert {**first.headers, "host": ""} == {**second.headers, "host": ""}


@pytest.mark.parametrize(
    "location",
    [
        "http://media.example.com/a.mp3",
        "https://me:secret@media.example.com/",
        "https://127.0.0.2/",
        "https://[::1]/",
        "https://2130706434/",
        "https://localhost/",
        "https://inner.example/",
        "file:///etc/passwd",
        "gopher://media.example.com/",
        "https://media.example.com\\@inner.example/",
    ],
)
def test_redirects_inside_are_refused(site: Site, location: str) -> None:
    site.names.answers["inner.example"] = [["127.0.0.2"]]
    site.server.answers["/a.mp3"] = redirect(location)
    with pytest.raises(UrlRefused):
        site.fetched()
    assert site.server.connections == 1


def test_redirects_end(site: Site) -> None:
    site.server.answers["/a.mp3"] = redirect("/a.mp3")
    with pytest.raises(RequestFailed, match="more than 5 times"):
        site.fetched()
    assert site.server.connections == 6


def test_a_certificate_is_for_the_name_that_was_asked_for(site: Site, authority: Authority) -> None:
    site.names.answers["wrong.example.com"] = [["127.0.0.1"]]
    with pytest.raises(RequestFailed, match="certificate is not valid"):
        site.http.post(site.url(host="wrong.example.com"), b"secret", {}, PATIENT)
    # An address has no certificate of a name.
    with pytest.raises(RequestFailed, match="certificate is not valid"):
        site.http.post(site.url(host="127.0.0.1"), b"secret", {}, PATIENT)
    site.http = PublicHttp(access(site.names, ssl.create_default_context()))
    with pytest.raises(RequestFailed, match="certificate is not valid"):
        site.http.post(site.url(), b"secret", {}, PATIENT)
    assert site.server.received == []


def test_an_address_that_does_not_answer_leaves_the_next(site: Site) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with pytest.raises(RequestFailed, match="cannot be reached: no connection"):
        site.http.post(f"https://{HOST}:{port}/", b"", {}, PATIENT)
    with pytest.raises(RequestFailed, match="has no address"):
        site.http.post(site.url(host="nobody.example.com"), b"", {}, PATIENT)


def trickle(connection: socket.socket) -> None:
    """A byte of a header now and then, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"y")
        threading.Event().wait(SHORT_SECONDS / 20)


def trickled_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
    while True:
        connection.sendall(b"y")
        threading.Event().wait(SHORT_SECONDS / 20)


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1)  # until the client has gone


@pytest.mark.parametrize("answer", [trickle, trickled_body, silent])
def test_a_slow_server_has_the_time_of_the_whole_request_and_no_more(site: Site, answer: object) -> None:
    site.server.answers["/a.mp3"] = answer  # type: ignore[assignment]
    with pytest.raises(RequestFailed, match="in time") as failure:
        site.fetched(limits=Limits(total_seconds=SHORT_SECONDS, connect_seconds=PATIENCE, silent_seconds=PATIENCE))
    assert failure.value.kind == FailureKind.TIMEOUT


def test_a_silent_server_has_the_time_of_one_block(site: Site) -> None:
    site.server.answers["/a.mp3"] = silent
    with pytest.raises(RequestFailed, match="in time"):
        site.fetched(limits=Limits(total_seconds=PATIENCE, connect_seconds=PATIENCE, silent_seconds=SHORT_SECONDS))


def test_redirects_share_the_time(site: Site) -> None:
    def slow(connection: socket.socket) -> None:
        threading.Event().wait(SHORT_SECONDS / 2)
        connection.sendall(redirect("/a.mp3"))

    site.server.answers["/a.mp3"] = slow
    with pytest.raises(RequestFailed, match="in time"):
        site.fetched(limits=Limits(total_seconds=SHORT_SECONDS, max_redirects=1000))


def test_a_name_server_and_a_handshake_that_hang_end_too(site: Site) -> None:
    ended = threading.Event()

    def hangs(host: str, port: int) -> list[str]:
        ended.wait(PATIENCE)
        return []

    limits = Limits(total_seconds=SHORT_SECONDS)
    http = PublicHttp(TestingAccess(resolve=hangs))
    with pytest.raises(RequestFailed, match="not resolved in time"):
        http.post(f"https://{HOST}/", b"", {}, limits)
    ended.set()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(RequestFailed, match="in time"):
            site.http.post(f"https://{HOST}:{port}/", b"", {}, limits)


def test_a_post_is_sent_as_it_is_and_answered_whatever_the_status(site: Site) -> None:
    site.server.answers["/hook"] = response(b"x" * 10_000, "Retry-After: 7", status="503 Later")
    body = b'{"a": 1}' * 50_000
    answer = site.http.post(site.url("/hook"), body, {"Content-Type": "application/json", "webhook-id": "1"}, PATIENT)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "7", b"x" * MAX_ANSWER_BYTES)
    (request,) = site.server.received
    assert (request.method, request.target, request.body, request.server_name) == ("POST", "/hook", body, HOST)
    assert (request.headers["content-type"], request.headers["webhook-id"]) == ("application/json", "1")


def test_a_post_is_not_sent_on_by_a_redirect(site: Site) -> None:
    site.server.answers["/hook"] = redirect("/elsewhere", "307 Temporary")
    assert site.http.post(site.url("/hook"), b"secret", {}, PATIENT).status == 307
    assert [each.target for each in site.server.received] == ["/hook"]


def test_a_status_counts_though_its_body_breaks_off(site: Site) -> None:
    site.server.answers["/hook"] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
    answer = site.http.post(site.url("/hook"), b"", {}, PATIENT)
    assert (answer.status, answer.body) == (200, b"abc")


def test_reasons_name_no_address_and_no_query(site: Site) -> None:
    reasons = []
    for answer in (response(b"", status="500 x"), redirect("http://a.example/?token=secret"), b"", response(bytes(99))):
        site.server.answers["/a.mp3"] = answer
        with pytest.raises(DropscribeError) as failure:
            site.fetched("/a.mp3?token=secret", max_bytes=9)
        reasons.append(failure.value.reason)
    assert not [each for each in reasons if "secret" in each or "127.0.0" in each]


def test_plain_http_is_for_tests(authority: Authority) -> None:
    names = NameServer()
    names.answers[HOST] = [["127.0.0.1"]]
    with TlsServer(None) as server:
        http = PublicHttp(access(names, authority.client_context()))
        with pytest.raises(UrlRefused, match="begin with https"):
            http.post(f"http://{HOST}:{server.port}/", b"", {}, PATIENT)
        assert server.received == list[Received]()
