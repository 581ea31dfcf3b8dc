"""What the server of the page of `dropscribe up` takes and gives, and from whom."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.cloud.storage import Client

from infra.cli.live.guard import TOKEN_HEADER
from infra.cli.live.server import LivePage
from infra.emulators.cloud import RESULTS, STATE, UPLOADS
from shared.enums import Privacy
from shared.messages import TerminalMessage
from shared.object_names import object_name
from shared.options.model import UploadOptions
from shared.state.jobs.record import JobRecord, JobState
from shared.state.jobs.store import JobStore
from tests.support.ended_jobs_of_month import DAY_16, ended_job
from tests.support.hostile_names import HOSTILE_NAMES
from tests.support.storage_alone import storage_alone
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with storage_alone(tmp_path_factory.mktemp("objects")) as client:
        yield client


@pytest.fixture(scope="module")
def page(storage: Client) -> Iterator[LivePage]:
    with LivePage(storage, UploadOptions(privacy=Privacy.LOCAL)) as serving:
        yield serving


@pytest.fixture(scope="module")
def token(page: LivePage) -> str:
    (found,) = re.findall(r'data-token="([^"]+)"', requests.get(page.url, timeout=PATIENCE).text)
    return str(found)


@pytest.fixture(autouse=True)
def _no_uploads(storage: Client) -> None:
    for blob in storage.bucket(UPLOADS).list_blobs():
        blob.delete()


def uploads(storage: Client) -> dict[str, bytes]:
    return {str(blob.name): blob.download_as_bytes() for blob in storage.bucket(UPLOADS).list_blobs()}


def post(page: LivePage, name: str, data: bytes = b"audio", **headers: str) -> requests.Response:
    return requests.post(f"{page.url}/uploads", data, params={"name": name}, headers=headers, timeout=PATIENCE)


def ended(storage: Client, number: int, **changes: Any) -> TerminalMessage:
    """A job that has ended, with its record and its page."""
    message = ended_job(number, **changes)
    blob = storage.bucket(UPLOADS).blob(message.upload.name)
    blob.upload_from_string(b"0123456789" * 1000)
    upload = message.upload.model_copy(update={"generation": int(blob.generation)})
    message = message.model_copy(update={"upload": upload, "job_id": upload.job_id})
    record = JobRecord(
        upload=upload, state=JobState.RUNNING, holder="me", lease_until=DAY_16, received_at=message.received_at
    )
    state = storage.bucket(STATE)
    state.blob(f"jobs/{upload.job_id}/record.json").upload_from_string(record.model_dump_json())
    JobStore(state).record_outcome(message)
    for uri in message.results.values():
        storage.bucket(RESULTS).blob(uri.removeprefix(f"gs://{RESULTS}/")).upload_from_string(b"<p>text</p>")
    return message


def test_an_upload_is_an_object_with_the_options_of_up(page: LivePage, storage: Client, token: str) -> None:
    data = bytes(range(256)) * 40_000  # more than Google's client sends with one request
    answer = post(page, "monday/a call.mp3", data, **{TOKEN_HEADER: token, "Origin": page.url})
    assert answer.status_code == 200
    assert uploads(storage) == {"monday/a call.mp3": data}
    blob = storage.bucket(UPLOADS).get_blob("monday/a call.mp3")
    assert (blob.content_type, blob.metadata) == ("audio/mpeg", UploadOptions(privacy=Privacy.LOCAL).metadata())
    assert answer.json()["name"] == "monday/a call.mp3"
    assert re.fullmatch("[0-9a-f]{24}", answer.json()["id"])


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if not name.endswith("/")], ids=ascii)
def test_every_name_is_uploaded(page: LivePage, storage: Client, token: str, name: str) -> None:
    answer = post(page, name, **{TOKEN_HEADER: token})
    assert answer.status_code == 200
    assert uploads(storage) == {answer.json()["name"]: b"audio"}
    path = Path(name.lstrip("/"))
    assert answer.json()["name"] == object_name(path)


@pytest.mark.parametrize("name", ["", "/", ".", "x" * 5000])
def test_what_has_no_name_is_refused(page: LivePage, storage: Client, token: str, name: str) -> None:
    answer = post(page, name, **{TOKEN_HEADER: token})
    assert (answer.status_code, uploads(storage)) == (400, {})


def test_files_of_one_name_do_not_replace_each_other(page: LivePage, storage: Client, token: str) -> None:
    """One that is replaced before it is read would be rejected."""

    def uploaded_as(number: int) -> str:
        return str(post(page, "calls/a.mp3", b"%d" % number, **{TOKEN_HEADER: token}).json()["name"])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(uploaded_as, range(4)))
    names = {"calls/a.mp3", "calls/a-2.mp3", "calls/a-3.mp3", "calls/a-4.mp3"}
    assert set(answers) == names
    assert uploads(storage) == {name: b"%d" % n for n, name in enumerate(answers)}


def test_nothing_and_too_much_are_refused_before_a_byte_is_read(page: LivePage, storage: Client, token: str) -> None:
    assert post(page, "a.mp3", b"", **{TOKEN_HEADER: token}).status_code == 400
    with socket.create_connection(("127.0.0.1", page.port), PATIENCE) as connection:
        lines = ("POST /uploads?name=a.mp3 HTTP/1.1", f"Host: 127.0.0.1:{page.port}", f"{TOKEN_HEADER}: {token}")
        connection.sendall("\r\n".join([*lines, f"Content-Length: {10**15}", "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert uploads(storage) == {}


def test_an_upload_that_is_cut_off_leaves_no_object(page: LivePage, storage: Client, token: str) -> None:
    with socket.create_connection(("127.0.0.1", page.port), PATIENCE) as connection:
        lines = ("POST /uploads?name=a.mp3 HTTP/1.1", f"Host: 127.0.0.1:{page.port}", f"{TOKEN_HEADER}: {token}")
        connection.sendall("\r\n".join([*lines, "Content-Length: 9000000", "", "x" * 1_000_000]).encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 500", b"")
    assert uploads(storage) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {TOKEN_HEADER: "wrong"},
        {TOKEN_HEADER: "TOKEN", "Origin": "http://127.0.0.1:1"},
        {TOKEN_HEADER: "TOKEN", "Origin": "https://example.com"},
        {TOKEN_HEADER: "TOKEN", "Origin": "null"},
        {TOKEN_HEADER: "TOKEN", "Sec-Fetch-Site": "cross-site"},
        {TOKEN_HEADER: "TOKEN", "Sec-Fetch-Site": "same-site"},
        {"Origin": "SELF", "Content-Type": "text/plain"},
    ],
)
def test_nobody_else_uploads(page: LivePage, storage: Client, token: str, headers: dict[str, str]) -> None:
    sent = {
        name: token if value == "TOKEN" else page.url if value == "SELF" else value for name, value in headers.items()
    }
    assert post(page, "a.mp3", **sent).status_code == 403
    assert uploads(storage) == {}


@pytest.mark.parametrize(
    "host", ["example.com", "example.com:PORT", "127.0.0.1", "127.0.0.1:1", "[::1]:PORT", "10.0.0.1:PORT"]
)
@pytest.mark.parametrize("path", ["/", "/events", "/uploads?name=a"])
def test_no_other_host_is_answered(page: LivePage, token: str, host: str, path: str) -> None:
    """DNS rebinding: a name of an attacker's that leads to 127.0.0.1 is, to a browser, that attacker's origin."""
    method = "POST" if path.startswith("/uploads") else "GET"
    headers = {"Host": host.replace("PORT", str(page.port)), TOKEN_HEADER: token}
    answer = requests.request(method, page.url + path, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 421
    assert token not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_do_nothing(page: LivePage, token: str, method: str) -> None:
    answer = requests.request(method, f"{page.url}/uploads?name=a", headers={TOKEN_HEADER: token}, timeout=PATIENCE)
    assert answer.status_code in (403, 405) or not answer.headers.get("Access-Control-Allow-Origin")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_says_what_browsers_may_do_with_it(page: LivePage) -> None:
    headers = requests.get(page.url, timeout=PATIENCE).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_transcript_and_ranges_of_its_recording(page: LivePage, storage: Client) -> None:
    job = ended(storage, 1)
    address = f"{page.url}/jobs/{job.job_id}"
    answer = requests.get(f"{address}/transcript.html", timeout=PATIENCE)
    assert (answer.text, answer.headers["Content-Type"]) == ("<p>text</p>", "text/html; charset=utf-8")
    whole = requests.get(f"{address}/recording", timeout=PATIENCE)
    assert (len(whole.content), whole.headers["Content-Type"]) == (10_000, "audio/mpeg")
    part = requests.get(f"{address}/recording", headers={"Range": "bytes=9995-"}, timeout=PATIENCE)
    assert (part.status_code, part.content) == (206, b"56789")
    assert part.headers["Content-Range"] == "bytes 9995-9999/10000"
    assert requests.get(f"{address}/recording", headers={"Range": "bytes=20000-"}, timeout=PATIENCE).status_code == 416


@pytest.mark.parametrize("name", ["page.html", "script.js", "picture.svg", "a"])
def test_no_upload_is_a_page_of_this_server(page: LivePage, storage: Client, name: str) -> None:
    job = ended(storage, 2, name=f"calls/{name}")
    headers = requests.get(f"{page.url}/jobs/{job.job_id}/recording", timeout=PATIENCE).headers
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "JOB/receipt.json",
        "JOB/record.json",
        "JOB/..%2f..%2frecord.json",
        "0/recording",
        "../x/recording",
        f"{'0' * 24}/recording",
    ],
)
def test_nothing_else_is_served(page: LivePage, storage: Client, path: str) -> None:
    job = ended(storage, 3)
    answer = requests.get(f"{page.url}/jobs/{path.replace('JOB', job.job_id)}", timeout=PATIENCE)
    assert answer.status_code == 404


def events(answer: requests.Response) -> Iterator[list[dict[str, Any]]]:
    for line in answer.iter_lines(chunk_size=1):
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_jobs_are_shown_while_they_go_and_when_they_end(page: LivePage, storage: Client) -> None:
    opened = storage.bucket(UPLOADS).blob("<b>new</b>.mp3")
    opened.upload_from_string(b"audio")
    with requests.get(f"{page.url}/events", stream=True, timeout=PATIENCE) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        seen = events(answer)
        next(seen)
        job = ended_job(4, name="<b>new</b>.mp3")
        upload = job.upload.model_copy(update={"generation": int(opened.generation)})
        JobStore(storage.bucket(STATE)).claim(upload, "me", timedelta(minutes=1))
        shown = next(one for jobs in seen for one in jobs if one["id"] == upload.job_id)
        assert (shown["name"], shown["done"], shown["says"]) == ("<b>new</b>.mp3", False, "being inspected")
        page.add_outcome(job.model_copy(update={"upload": upload, "job_id": upload.job_id}))
        ends = next(one for jobs in seen for one in jobs if one["id"] == upload.job_id and one["done"])
    assert (ends["says"], ends["hasTranscript"], ends["failed"]) == ("completed", True, False)


def test_streams_end_with_the_server(storage: Client) -> None:
    page = LivePage(storage, UploadOptions())
    with page:
        answer = requests.get(f"{page.url}/events", stream=True, timeout=PATIENCE)
        seen = events(answer)
        next(seen)
    assert list(seen) == []


def test_a_port_that_is_taken_is_an_error_of_its_own(page: LivePage, storage: Client) -> None:
    with pytest.raises(OSError, match="in use"):
        LivePage(storage, UploadOptions(), page.port)
