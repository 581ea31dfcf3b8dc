"""Cloud Storage's resumable uploads: parts of a file to an address that is asked, after a fault, how far they came.

The address is the permission: whoever has it may upload this one object, for a week. So an API can hand it out to
clients that have no credentials of Google's.
Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, BinaryIO

import google_crc32c
import requests
from google.api_core.exceptions import from_http_response
from google.api_core.retry import Retry

PART_BYTES = 8 * 1024 * 1024
"""Sent with one request, and sent again after a fault: a multiple of 256 KiB, as the protocol asks."""

ANSWER_SECONDS = 60.0
"""Longest wait for a connection, and for an answer to a part."""

RESUME_SECONDS = 600.0
"""How long an upload is tried to go on with that makes no progress."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
"""Between two tries; they double, with jitter."""

_INCOMPLETE = HTTPStatus.PERMANENT_REDIRECT
_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class _Interrupted(Exception):
    """The part may not have arrived; the server is asked how far it came."""


def send(
    url: str,
    file: BinaryIO,
    size: int,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    resume_seconds: float = RESUME_SECONDS,
) -> dict[str, Any]:
    """Send `size` bytes of `file` to a resumable session; the object's resource, as Cloud Storage has it.

    The object is stored only where its CRC32C is that of what was read. Raises ValueError where the file ends before
    `size`, GoogleAPICallError where Cloud Storage refuses, and requests' errors or RetryError where it is not reached.
    """
    checksum = google_crc32c.Checksum()
    summed = sent = 0
    asks = False
    with requests.Session() as session:

        def go_on() -> dict[str, Any] | None:
            """One request: a part, or after a fault the question how far the upload is."""
            nonlocal summed, sent, asks
            if asks:
                answer = _request(session, url, b"", f"bytes */{size}")
            else:
                file.seek(sent)
                data = file.read(min(PART_BYTES, size - sent))
                if len(data) < min(PART_BYTES, size - sent):
                    raise ValueError(f"{sent + len(data)} of {size} bytes")
                if sent + len(data) > summed:  # what is sent again was summed before
                    checksum.update(data[summed - sent :])
                    summed = sent + len(data)
                asks = True
                is_last = summed == size
                headers = {"X-Goog-Hash": _hash(checksum)} if is_last else {}
                answer = _request(session, url, data, f"bytes {sent}-{sent + len(data) - 1}/{size}", headers)
            asks = False
            if answer.status_code != _INCOMPLETE:
                stored: dict[str, Any] = json.loads(answer.content)
                return stored
            sent = _received(answer)
            return None

        retry = Retry(
            predicate=lambda error: isinstance(error, _Interrupted),
            initial=FIRST_PAUSE_SECONDS,
            maximum=LONGEST_PAUSE_SECONDS,
            timeout=resume_seconds,
        )
        while (stored := retry(go_on)()) is None:
            if on_progress is not None:
                on_progress(sent, size)
    file.seek(size)
    if stored.get("crc32c") not in (None, _digest(checksum)):
        raise ValueError("Cloud Storage stored other bytes")
    if on_progress is not None:
        on_progress(size, size)
    return stored


def _request(
    session: requests.Session, url: str, data: bytes, content_range: str, headers: dict[str, str] | None = None
) -> requests.Response:
    """Raises _Interrupted where the same may succeed later."""
    try:
        answer = session.put(
            url,
            data=data,
            headers={"Content-Range": content_range, **(headers or {})},
            timeout=ANSWER_SECONDS,
            allow_redirects=False,
        )
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Interrupted(str(error)) from error
    if answer.status_code in _PASSING:
        raise _Interrupted(f"HTTP {answer.status_code}") from from_http_response(answer)
    if answer.status_code not in (HTTPStatus.OK, HTTPStatus.CREATED, _INCOMPLETE):
        raise from_http_response(answer)
    return answer


def _received(answer: requests.Response) -> int:
    """Bytes that the server has: `Range: bytes=0-N`, or no such header."""
    found = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0


def _hash(checksum: google_crc32c.Checksum) -> str:
    return f"crc32c={_digest(checksum)}"


def _digest(checksum: google_crc32c.Checksum) -> str:
    return base64.b64encode(checksum.digest()).decode()
