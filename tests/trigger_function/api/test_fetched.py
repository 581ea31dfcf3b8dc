"""Recordings behind https addresses, fetched into the uploads bucket from servers on loopback that count as public."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus

import flask
import pytest
from google.cloud.storage import Blob
from werkzeug.test import EnvironBuilder

from shared.public_http.client import PublicHttp
from shared.state.result_files import ResultFiles
from tests.support.loopback_cloud import UPLOADS, LoopbackCloud
from tests.support.tls_server import Answer, Authority, NameServer, TlsServer, access, redirect, response
from trigger_function.api.app import respond
from trigger_function.api.compatible.awaited import finished
from trigger_function.api.folder_sums import FolderSums
from trigger_function.api.services import ApiServices
from trigger_function.api.settings import ApiSettings
from trigger_function.services import Services

HOST = "media.example.com"
LIMIT_BYTES = 6_000_000
"""More than what is held before the object is begun."""
AUDIO = bytes(range(256)) * 16


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsServer, PublicHttp]]:
    """A server, and what finds it."""
    authority, names = Authority(tmp_path_factory.mktemp("authority")), NameServer()
    names.answers[HOST], names.answers["inner.example.com"] = [["127.0.0.1"]], [["127.0.0.2"]]
    with TlsServer(authority.server_context(HOST)) as server:
        yield server, PublicHttp(access(names, authority.client_context()))


class Site:
    """Serves answers, and has the API fetch them."""

    def __init__(self, server: TlsServer, services: ApiServices, cloud: LoopbackCloud) -> None:
        self.server = server
        self.services = services
        self._cloud = cloud
        server.answers.clear()

    def submit(self, path: str, answer: Answer | None = None, key: str | None = None, **fields: str) -> flask.Response:
        """POST /transcribe with this path's URL."""
        if answer is not None:
            self.server.answers[path.partition("?")[0]] = answer
        body = {"uri": f"https://{HOST}:{self.server.port}{path}", **fields}
        headers = {"Idempotency-Key": key} if key else {}
        builder = EnvironBuilder("/transcribe", method="POST", json=body, headers=headers)
        return respond(self.services, flask.Request(builder.get_environ()))

    def fetched(self, path: str, answer: Answer | None = None, **fields: str) -> Blob:
        """The object that becomes of it."""
        accepted = self.submit(path, answer, **fields)
        assert accepted.status_code == 202, accepted.get_data()
        upload = json.loads(accepted.get_data())["upload"]
        blob = self._cloud.storage.bucket(UPLOADS).get_blob(upload["name"], generation=upload["generation"])
        assert blob is not None
        return blob

    def refused(self, path: str, answer: Answer | None = None, **fields: str) -> tuple[int, str]:
        """Status and kind of the problem; nothing may be left."""
        before = self._cloud.names(UPLOADS)
        problem = self.submit(path, answer, **fields)
        assert self._cloud.names(UPLOADS) == before
        body = json.loads(problem.get_data())
        return problem.status_code, body["type"].removeprefix("urn:dropscribe:problem:")


@pytest.fixture
def site(api_cloud: LoopbackCloud, deployment: Services, web: tuple[TlsServer, PublicHttp]) -> Site:
    server, http = web
    settings = ApiSettings(api_max_upload_bytes=LIMIT_BYTES)
    results = ResultFiles(deployment.storage.bucket("results"), "")
    sums = FolderSums(deployment.ledger, 0.0)
    return Site(server, ApiServices(deployment, settings, None, sums, results, http), api_cloud)


def test_a_recording_is_fetched_whole_with_its_options(site: Site) -> None:
    blob = site.fetched(
        "/calls/a%20b.mp3?sig=secret", response(AUDIO, "Content-Type: audio/mpeg; x=y"), force_method="parakeet"
    )
    assert blob.download_as_bytes() == AUDIO
    assert blob.name.endswith("/a b.mp3")
    assert "secret" not in blob.name
    assert (blob.content_type, blob.metadata) == ("audio/mpeg", {"transcribe-method": "parakeet"})


def test_deepgrams_clients_have_a_url_fetched_too(site: Site, api_cloud: LoopbackCloud) -> None:
    site.server.answers["/talk.ogg"] = response(AUDIO)
    settings = site.services.settings.model_copy(update={"api_wait_seconds": 0.0})
    body = {"url": f"https://{HOST}:{site.server.port}/talk.ogg"}
    builder = EnvironBuilder("/v1/listen?multichannel=true", method="POST", json=body)
    answer = respond(replace(site.services, settings=settings), flask.Request(builder.get_environ()))
    assert answer.status_code == 202
    (name,) = [name for name in api_cloud.names(UPLOADS) if name.endswith("/talk.ogg")]
    blob = api_cloud.storage.bucket(UPLOADS).get_blob(name)
    assert blob is not None
    assert (blob.metadata, blob.download_as_bytes()) == ({"transcribe-channels": "split"}, AUDIO)


def test_what_was_fetched_for_long_is_waited_for_the_less(site: Site, api_cloud: LoopbackCloud) -> None:
    upload = api_cloud.drop(AUDIO, "api/late.ogg")
    services = replace(site.services, settings=site.services.settings.model_copy(update={"api_wait_seconds": 3600.0}))
    assert finished(services, upload, HTTPStatus.BAD_REQUEST, time.monotonic() - 3600) is None


def test_a_large_recording_is_streamed_and_checked(site: Site) -> None:
    audio = AUDIO * 1400
    assert len(audio) > 5 << 20
    blob = site.fetched("/large.wav", response(audio))
    assert blob.download_as_bytes() == audio


@pytest.mark.parametrize(
    ("path", "headers", "name", "end"),
    [
        ("/x", ['Content-Disposition: attachment; filename="board meeting.m4a"'], None, "/board meeting.m4a"),
        ("/x", ["Content-Disposition: attachment; filename*=UTF-8''K%C3%B6ln.ogg"], None, "/Köln.ogg"),
        ("/x", ['Content-Disposition: attachment; filename="../../etc/passwd"'], None, "/passwd"),
        ("/x", ['Content-Disposition: attachment; filename="C:\\\\calls\\\\a.wav"'], None, "/a.wav"),
        ("/b.mp3", ['Content-Disposition: attachment; filename=".."'], None, "/b.mp3"),
        ("/b.mp3", ['Content-Disposition: attachment; filename="notes.json"'], None, "/b.mp3"),
        ("/%2e%2e%2f%00%0d%0aX", [], None, "/X"),
        ("/", [], None, "/recording"),
        ("/x", ['Content-Disposition: attachment; filename="theirs.ogg"'], "mine.ogg", "/mine.ogg"),
    ],
)
def test_a_recording_is_named_by_header_or_url(
    site: Site, path: str, headers: list[str], name: str | None, end: str
) -> None:
    blob = site.fetched(path, response(AUDIO, *headers), **({"name": name} if name else {}))
    assert blob.name.endswith(end)
    assert blob.name.count("/") == 2


def test_a_packed_recording_is_kept_packed(site: Site) -> None:
    blob = site.fetched("/a.wav", response(gzip.compress(AUDIO), "Content-Encoding: gzip"))
    assert blob.content_encoding == "gzip"
    assert gzip.decompress(blob.download_as_bytes(raw_download=True)) == AUDIO


def test_a_repeated_request_fetches_once(site: Site) -> None:
    first = site.submit("/once.mp3", response(AUDIO), key="once")
    again = site.submit("/once.mp3", key="once")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_data() == again.get_data()
    assert [each.target for each in site.server.received].count("/once.mp3") == 1


def test_what_is_not_public_is_not_fetched(site: Site) -> None:
    port = site.server.port
    inside = f"https://inner.example.com:{port}/"
    assert site.refused("/a", redirect(inside)) == (422, "url-refused")
    for uri in (inside, "https://127.0.0.2/", "https://[::1]/", "https://2130706433/", "https://me@media.example.com/"):
        builder = EnvironBuilder("/transcribe", method="POST", json={"uri": uri})
        answer = respond(site.services, flask.Request(builder.get_environ()))
        assert (answer.status_code, json.loads(answer.get_data())["type"]) == (
            422,
            "urn:dropscribe:problem:url-refused",
        )


def test_what_does_not_come_whole_leaves_nothing(site: Site) -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 5900000\r\n\r\n" + bytes(5_000_000)
    assert site.refused("/broken.wav", broken) == (502, "url-not-fetched")
    assert site.refused("/gone.wav", response(b"", status="404 Gone")) == (422, "url-not-fetched")
    assert site.refused("/later.wav", response(b"", status="503 Later")) == (502, "url-not-fetched")
    assert site.refused("/empty.wav", response(b"")) == (422, "url-empty")
    assert site.refused("/stated.wav", response(bytes(LIMIT_BYTES + 1))) == (413, "url-too-large")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    counted = head + b"%x\r\n" % (LIMIT_BYTES + 1) + bytes(LIMIT_BYTES + 1) + b"\r\n0\r\n\r\n"
    assert site.refused("/counted.wav", counted) == (413, "url-too-large")


def test_what_takes_too_long_is_told_the_way_out(site: Site) -> None:
    def trickled(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            threading.Event().wait(0.02)

    settings = site.services.settings.model_copy(update={"api_fetch_seconds": 0.5})
    site.services = replace(site.services, settings=settings)
    answer = site.submit("/slow.wav", trickled)
    body = json.loads(answer.get_data())
    assert (answer.status_code, body["type"]) == (504, "urn:dropscribe:problem:url-too-slow")
    assert "API_FETCH_SECONDS" in body["detail"]
    assert "POST /transcribe" in body["detail"]
