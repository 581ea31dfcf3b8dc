"""Which URLs are requested: one strict reading, by which the request is made, too.

What browsers and libraries disagree about is refused rather than guessed at: user names, backslashes, white space,
numbers that some read as an IPv4 address (`2130706433`, `0x7f.1`, `127.1`, `0177.0.0.1`), zones of IPv6, unusual ports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote, urljoin, urlsplit

import idna

from shared.errors import shortened
from shared.public_http.addresses import parse_address
from shared.public_http.errors import UrlRefused

MAX_URL_CHARACTERS = 8192
"""Of a URL; signed URLs of cloud storages have up to about 2,000."""

HTTPS_PORT = 443
_DEFAULT_PORTS = {"https": HTTPS_PORT, "http": 80}

_UNUSABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff\ud800-\udfff]")
"""Control characters, white space, backslashes, halves of characters."""
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MAX_HOST_CHARACTERS = 253
_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](:[0-9]*)?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
"""A last label that makes a host an IPv4 address for browsers (WHATWG URL) and for inet_aton."""
_SAFE_IN_TARGET = "/:?#[]@!$&'()*+,;=%~|^"
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class UrlRules:
    """What a URL may be."""

    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] | None = frozenset({HTTPS_PORT})
    """None: any."""


@dataclass(frozen=True)
class PublicUrl:
    """A URL that may be requested, in the parts by which that is done."""

    scheme: str
    host: str
    """In ASCII, in small letters, without brackets and without a dot at its end."""
    port: int
    target: str
    """Path and query, as sent."""

    @property
    def host_header(self) -> str:
        """Host, with brackets around IPv6, with the port where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.target}"

    @property
    def without_query(self) -> str:
        """For logs and messages: a query may be a signature that lets anyone in."""
        return shortened(str(self).partition("?")[0], _SHOWN_CHARACTERS)


def parse_url(url: str, rules: UrlRules) -> PublicUrl:
    """Raises UrlRefused, with the reason for the person who gave the URL."""
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlRefused(f"The URL has {len(url)} characters; {MAX_URL_CHARACTERS} are allowed.")
    if _UNUSABLE.search(url):
        raise UrlRefused("The URL has a space, a backslash or a control character in it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("The URL cannot be read.") from None
    if parts.scheme not in rules.schemes:
        raise UrlRefused(f"The URL has to begin with {' or '.join(f'{each}://' for each in sorted(rules.schemes))}.")
    if "@" in parts.netloc:
        raise UrlRefused("The URL has a user name or a password in it, which is not sent.")
    if not parts.hostname:
        raise UrlRefused("The URL names no host.")
    host = _ipv6(parts.netloc) if "[" in parts.netloc else _host(parts.hostname)
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    if rules.ports is not None and port not in rules.ports:
        raise UrlRefused(f"The URL's port is {port}; allowed is {', '.join(map(str, sorted(rules.ports)))}.")
    target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE_IN_TARGET)
    return PublicUrl(parts.scheme, host, port, target)


def redirected(url: PublicUrl, location: str, rules: UrlRules) -> PublicUrl:
    """Where an answer of `url` sends its client. Raises UrlRefused as for any URL."""
    try:
        joined = urljoin(str(url), location)
    except ValueError:
        raise UrlRefused(f"{url.without_query} redirects to what is no URL.") from None
    try:
        return parse_url(joined, rules)
    except UrlRefused as refused:
        raise UrlRefused(f"{url.without_query} redirects elsewhere: {refused.reason}") from None


def _ipv6(netloc: str) -> str:
    bracketed = _BRACKETED.fullmatch(netloc)
    address = parse_address(bracketed["host"]) if bracketed else None
    if address is None or address.version == 4 or "%" in netloc:
        raise UrlRefused("The URL's host is not an IPv6 address without a zone.")
    return str(address)


def _host(text: str) -> str:
    name = text
    if not text.isascii():
        try:
            # As browsers do it: compatibility forms (full-width digits and dots) become what they stand for.
            name = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            _refuse_host(text)
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if parse_address(name) is not None:
        return name
    if _NUMBER.fullmatch(labels[-1]):
        raise UrlRefused("The URL's host is a number, but not an IPv4 address of four decimal numbers.")
    if len(name) > _MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        _refuse_host(text)
    if len(labels) == 1:
        raise UrlRefused("The URL's host is the name of a machine nearby: it has no dot in it.")
    return name


def _refuse_host(text: str) -> NoReturn:
    raise UrlRefused(f"The URL's host is no name of a host: {shortened(text, _SHOWN_CHARACTERS)!r}.")
