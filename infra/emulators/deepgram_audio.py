"""Audio of a request to the laptop's Deepgram, as a file, and the addresses that a request names: on loopback alone."""

from __future__ import annotations

import hashlib
import ipaddress
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import flask
import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FETCH_TIMEOUT_SECONDS = 30.0
BLOCK_BYTES = 1 << 16


class ListenRefused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def body(self, request_id: str) -> dict[str, Any]:
        """As Deepgram writes it."""
        return {"err_code": self.code, "err_msg": self.message, "request_id": request_id}


def audio() -> AbstractContextManager[tuple[Path, str]]:
    """The request's audio as a file that goes away afterwards, and its SHA-256."""
    return audio_file(fetched(address_in(flask.request.get_json(silent=True))) if flask.request.is_json else _body())


@contextmanager
def audio_file(blocks: Iterable[bytes]) -> Iterator[tuple[Path, str]]:
    """The blocks as a file that goes away afterwards, and its SHA-256."""
    digest = hashlib.sha256()
    with NamedTemporaryFile(prefix="dropscribe-listen-") as file:
        for block in blocks:
            digest.update(block)
            file.write(block)
        file.flush()
        yield Path(file.name), digest.hexdigest()


def _body() -> Iterator[bytes]:
    while block := flask.request.stream.read(BLOCK_BYTES):
        yield block


def address_in(payload: object) -> httpx.URL:
    """The loopback address in a request's JSON."""
    url = _url(payload)
    if url is None:
        message = "Content-type was application/json, but we could not process the JSON payload."
        raise ListenRefused(400, "Bad Request", message)
    if not _is_loopback(url.host):
        message = f"The local stand-in fetches from loopback only, not from {url.host!r}."
        raise ListenRefused(400, "REMOTE_CONTENT_ERROR", message)
    return url


def callback_address(callback: str) -> httpx.URL:
    """The loopback address that an answer is to be posted to."""
    with suppress(httpx.InvalidURL):
        url = httpx.URL(callback)
        if url.scheme in ("http", "https") and _is_loopback(url.host):
            return url
    raise ListenRefused(400, "Bad Request", "The local stand-in posts answers to loopback only.")


def host_in(payload: object) -> str | None:
    """Host of the address in a request's JSON; None where there is no readable one."""
    url = _url(payload)
    return url.host if url else None


def _url(payload: object) -> httpx.URL | None:
    url = payload.get("url") if isinstance(payload, dict) else None
    with suppress(httpx.InvalidURL):
        return httpx.URL(url) if isinstance(url, str) else None
    return None


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def fetched(url: httpx.URL) -> Iterator[bytes]:
    """The content at `url`. Neither a redirect nor a proxy from the environment can lead away from loopback."""
    try:
        with (
            httpx.Client(trust_env=False, follow_redirects=False, timeout=FETCH_TIMEOUT_SECONDS) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                problem = f"answered {response.status_code} {response.reason_phrase}"
                raise ListenRefused(400, "REMOTE_CONTENT_ERROR", f"The remote server hosting the media {problem}.")
            yield from response.iter_bytes(BLOCK_BYTES)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        message = f"The remote server hosting the media gave no media ({type(error).__name__})."
        raise ListenRefused(400, "REMOTE_CONTENT_ERROR", message) from error
