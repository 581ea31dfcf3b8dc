"""GET into a file-like object, and POST, to URLs that somebody else gave; each within its limits.

No proxy of the environment, no cookie, no credential is sent; nothing is unpacked; each redirect is checked like the
first URL and gets a connection of its own.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import certifi
import httpcore2

from shared.errors import FailureKind, kind_of_status
from shared.public_http.addresses import Address
from shared.public_http.connection import CheckedBackend, Deadline, Resolver, system_resolver
from shared.public_http.errors import RequestFailed, TooLarge
from shared.public_http.urls import PublicUrl, UrlRules, parse_url, redirected

USER_AGENT = "dropscribe"

CONNECT_SECONDS = 10.0
"""For each address, and for the handshake of TLS."""
SILENT_SECONDS = 30.0
"""Between two blocks, and for the first byte of an answer."""
MAX_REDIRECTS = 5
"""What a shortened link to a cloud storage takes, twice."""
MAX_ANSWER_BYTES = 4096
"""Of the body that answers a POST; what comes behind it is not read."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Limits:
    """What one request may take, with all its redirects."""

    total_seconds: float
    connect_seconds: float = CONNECT_SECONDS
    silent_seconds: float = SILENT_SECONDS
    max_redirects: int = MAX_REDIRECTS


@dataclass(frozen=True)
class TestingAccess:
    """What servers on loopback take that stand in for the Internet in tests. Nothing in a deployment sets it."""

    __test__ = False  # not a test case, for pytest

    rules: UrlRules = field(default_factory=UrlRules)
    also_allowed: frozenset[Address] = frozenset()
    """Addresses that are not public and may be connected to."""
    resolve: Resolver = system_resolver
    tls: ssl.SSLContext | None = None
    """None: certificates by the authorities of certifi."""


class Writer(Protocol):
    """Where a body goes."""

    def write(self, block: bytes, /) -> object:
        """Take the next bytes, all of them."""
        ...


@dataclass
class PublicResponse:
    """A 200 whose body has not been read yet."""

    url: PublicUrl
    """Where the answer came from, behind all redirects."""
    headers: Mapping[str, str]
    """Names in small letters; of several of one name, the first."""
    length: int | None
    """Bytes of the body by Content-Length; None where it comes in chunks."""
    is_gzip: bool
    """Whether the body is packed, which no one asked for: as it comes, never unpacked here."""
    _max_bytes: int
    _blocks: Iterator[bytes]

    def copy_to(self, writer: Writer) -> int:
        """Write the body as it comes; the number of its bytes.

        Raises TooLarge, RequestFailed where it does not come whole or in time, and what `writer` raises.
        """
        count = 0
        while True:
            with _failures(self.url):
                block = next(self._blocks, None)
            if block is None:
                return count
            count += len(block)
            if count > self._max_bytes:
                raise _too_large(self.url, self._max_bytes)
            writer.write(block)


@dataclass(frozen=True)
class PostAnswer:
    """How a server answered a POST."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Its first MAX_ANSWER_BYTES."""


class PublicHttp:
    """Sends requests to public addresses only; may be shared by threads."""

    def __init__(self, testing: TestingAccess | None = None) -> None:
        access = testing or TestingAccess()
        self.rules = access.rules
        self._also_allowed = access.also_allowed
        self._resolve = access.resolve
        self._tls = access.tls or ssl.create_default_context(cafile=certifi.where())

    def check(self, url: str) -> PublicUrl:
        """The URL, where its form is one that is requested; nothing is resolved. Raises UrlRefused."""
        return parse_url(url, self.rules)

    @contextmanager
    def get(self, url: str, max_bytes: int, limits: Limits) -> Iterator[PublicResponse]:
        """The answer to a GET, behind redirects; its body is to be read inside.

        Raises UrlRefused, RequestFailed for any status but 200, and TooLarge where Content-Length says so.
        """
        deadline = Deadline.after(limits.total_seconds)
        target = self.check(url)
        for _ in range(limits.max_redirects + 1):
            with self._sent("GET", target, [("Accept-Encoding", "identity")], None, limits, deadline) as response:
                if response.status not in _REDIRECTS:
                    yield _checked(response, target, max_bytes)
                    return
                location = _text(dict(_lower(response.headers)).get("location", b""))
            if not location:
                raise RequestFailed(f"{target.without_query} redirects without saying where to.", FailureKind.REFUSED)
            target = redirected(target, location, self.rules)
        raise RequestFailed(f"The URL leads on more than {limits.max_redirects} times.", FailureKind.REFUSED)

    def post(self, url: str, body: bytes, headers: Mapping[str, str], limits: Limits) -> PostAnswer:
        """POST `body`; whatever the status, redirects are not followed: the body is for this URL alone.

        Raises UrlRefused, RequestFailed where there is no answer.
        """
        deadline = Deadline.after(limits.total_seconds)
        target = self.check(url)
        with self._sent("POST", target, list(headers.items()), body, limits, deadline) as response:
            return PostAnswer(response.status, _header_map(response.headers), _first_bytes(response))

    @contextmanager
    def _sent(
        self,
        method: str,
        target: PublicUrl,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        limits: Limits,
        deadline: Deadline,
    ) -> Iterator[httpcore2.Response]:
        """The answer to one request over a connection of its own."""
        timeout = {
            "connect": limits.connect_seconds,
            "read": limits.silent_seconds,
            "write": limits.silent_seconds,
            "pool": limits.connect_seconds,
        }
        sent = [("Host", target.host_header), ("User-Agent", USER_AGENT), ("Connection", "close"), *headers]
        if body is not None:
            sent.append(("Content-Length", str(len(body))))
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.target),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent],
            content=body or b"",
            extensions={"timeout": timeout},
        )
        backend = CheckedBackend(self._resolve, self._also_allowed, deadline)
        with httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=backend, max_connections=1) as pool:
            with _failures(target):
                response = pool.handle_request(request)
            try:
                yield response
            finally:
                response.close()


@contextmanager
def _failures(target: PublicUrl) -> Iterator[None]:
    """What the library raises, as RequestFailed; the texts of its errors name no address."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise RequestFailed(f"{target.host} did not answer in time.", FailureKind.TIMEOUT) from None
    except httpcore2.ConnectError as error:
        why = "its certificate is not valid" if _is_certificate(error) else "no connection"
        raise RequestFailed(f"{target.host} cannot be reached: {why}.") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError):
        raise RequestFailed(f"The connection to {target.host} broke, or what came was no whole answer.") from None


def _is_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _checked(response: httpcore2.Response, target: PublicUrl, max_bytes: int) -> PublicResponse:
    """The answer as one that may be read. Raises RequestFailed, TooLarge."""
    headers = _header_map(response.headers)
    if response.status != HTTPStatus.OK:
        kind = kind_of_status(response.status) if response.status >= 400 else FailureKind.REFUSED
        raise RequestFailed(f"{target.without_query} answers with status {response.status}.", kind)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise RequestFailed(f"{target.without_query} is packed in a way that is not read.", FailureKind.REFUSED)
    length = int(headers["content-length"]) if _DIGITS.fullmatch(headers.get("content-length", "")) else None
    if "transfer-encoding" in headers:
        length = None  # h11 goes by the chunks, too
    elif length is None:
        # The end of such a body looks like a connection that broke, and a recording would be cut in silence.
        raise RequestFailed(
            f"{target.without_query} neither says its length (Content-Length) nor comes in chunks, so nobody could "
            "tell whether it came whole.",
            FailureKind.REFUSED,
        )
    if length is not None and length > max_bytes:
        raise _too_large(target, max_bytes)
    return PublicResponse(target, headers, length, encoding == "gzip", max_bytes, iter(response.iter_stream()))


def _too_large(target: PublicUrl, max_bytes: int) -> TooLarge:
    return TooLarge(f"{target.without_query} has more than the {max_bytes:,} bytes that are allowed.")


def _first_bytes(response: httpcore2.Response) -> bytes:
    """Of a body that only says more about the status: as far as it comes."""
    found = bytearray()
    with suppress(httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        for block in response.iter_stream():
            found += block
            if len(found) >= MAX_ANSWER_BYTES:
                break
    return bytes(found[:MAX_ANSWER_BYTES])


def _lower(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Names in small letters; reversed, so that of several of one name the first is kept in a dict."""
    return ((name.decode("latin-1").lower(), value) for name, value in reversed(headers))


def _header_map(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name: _text(value) for name, value in _lower(headers)}


def _text(value: bytes) -> str:
    """A header's text: UTF-8 where it is, as servers send names of files; else each byte a character."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
