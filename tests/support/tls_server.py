"""Servers on loopback that speak TLS under a name of the Internet, byte by byte as a test says, and a resolver."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.emulators.server import Server
from shared.public_http.client import TestingAccess
from shared.public_http.urls import UrlRules

LOOPBACK = frozenset({ipaddress.ip_address("127.0.0.1")})


class Authority:
    """Signs certificates for servers of this test run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        self._certificate = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def client_context(self) -> ssl.SSLContext:
        """Of a client that believes this authority, and no other."""
        pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Of a server with a certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        certificate = self._signed(x509.Name([]), key, alternatives)
        file = self._folder / f"{names[0]}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        today = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    server_name: str | None
    """What the client named in its TLS handshake."""


Answer = bytes | Callable[[socket.socket], None]
"""Bytes sent as they are, or what writes them itself."""


class TlsServer(Server):
    """Answers `answers[path]`; one request a connection; usable once."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.answers: dict[str, Answer] = {}
        self.received: list[Received] = []
        self.connections = 0
        """Taken, whether or not a request came."""
        self._context = context
        self._names: dict[int, str | None] = {}
        if context is not None:
            context.sni_callback = self._named
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """On 127.0.0.1."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join()

    def _named(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        self._names[id(connection)] = name

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(plain)
            threading.Thread(target=self._answer, args=(plain,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            with connection, connection.makefile("rb") as stream:
                method, target, _ = stream.readline().decode().split()
                lines = iter(lambda: stream.readline().decode().strip(), "")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = stream.read(int(headers.get("content-length", 0)))
                name = self._names.pop(id(connection), None)
                self.received.append(Received(method, target, headers, body, name))
                answer = self.answers.get(target.partition("?")[0], b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """An answer that leads elsewhere."""
    return response(b"", f"Location: {location}", status=status)


class NameServer:
    """A resolver with answers of its own: by name, one list of addresses after the other, the last one for ever."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.answers: dict[str, list[Sequence[str]]] = {name: list(lists) for name, lists in names.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def access(names: NameServer, context: ssl.SSLContext, *, loopback: bool = True) -> TestingAccess:
    """What a client needs to find these servers: their ports, their resolver, their authority; and, where `loopback`,
    that 127.0.0.1 counts as public."""
    return TestingAccess(
        rules=UrlRules(ports=None), also_allowed=LOOPBACK if loopback else frozenset(), resolve=names, tls=context
    )
