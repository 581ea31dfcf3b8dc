"""A Flask app served on loopback by threads of this process: what every HTTP server of the laptop cloud stands on.

As Google's servers do, and werkzeug's own does not, it keeps a connection for its client's next request. Nothing is
answered under other names than this machine's, and nothing done for pages of other origins that a browser here shows.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, cast
from weakref import WeakSet

from flask import Flask
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import DechunkedInput, ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response
from werkzeug.wsgi import LimitedStream

from infra.emulators.server import Server
from trigger_function.api.web.browsers import is_of_another_page

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""How soon `stop()` is noticed where the closing of a listening socket wakes nobody, as on macOS."""
DRAINED_BYTES = 1 << 16
"""Of what an app leaves of a request's body, at a time."""
_REFUSAL = {"Cross-Origin-Resource-Policy": "same-origin"}
"""Other pages do not even learn that there was an answer."""


class HttpServer(Server):
    """Serves `app` on 127.0.0.1, one thread per connection; usable once.

    The port, by default any that is free, is bound at construction, so `url` can be handed out before `start()`; a
    client that is early waits.
    """

    def __init__(self, app: Flask, port: int = 0) -> None:
        """Raises OSError where the port is taken."""
        self.app = app
        # Werkzeug would end the process where the port is taken.
        with socket.create_server(("127.0.0.1", port), backlog=_Server.request_queue_size) as listener:
            self._server = _Server(_for_this_machine(app, listener.getsockname()[1]), listener.fileno())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name=f"http-{app.name}", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._server.port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse new requests and cut those in flight; idempotent."""
        if self._thread.is_alive():
            with suppress(OSError):
                self._server.socket.shutdown(socket.SHUT_RDWR)
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.cut_connections()


def _for_this_machine(app: Flask, port: int) -> WSGIApplication:
    """`app` for programs of this machine, and for pages that are served by it: pages can reach every port here.

    One whose name leads here (DNS rebinding) would be of the same origin to its browser, and read everything.
    """
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        if host is not None and host not in hosts:
            return Response(status=HTTPStatus.MISDIRECTED_REQUEST, headers=_REFUSAL)(environ, start_response)
        if is_of_another_page(environ["REQUEST_METHOD"], host or "", EnvironHeaders(environ)):
            return Response(status=HTTPStatus.FORBIDDEN, headers=_REFUSAL)(environ, start_response)
        return app(environ, start_response)

    return answer


class _Server(ThreadedWSGIServer):
    """Knows its connections: werkzeug's own server still answers the requests in flight after its shutdown."""

    def __init__(self, app: WSGIApplication, listener: int) -> None:
        self._connections: WeakSet[socket.socket] = WeakSet()
        super().__init__("127.0.0.1", 0, app, _Handler, fd=listener)

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def cut_connections(self) -> None:
        for connection in tuple(self._connections):
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        logger.warning("connection from %s failed", client_address, exc_info=True)


class _Handler(WSGIRequestHandler):
    """Werkzeug's, whose `run_wsgi` ends every connection: it reads on for 10 ms, and past the request's end."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    # An answer is one packet or ends with a short one, which is not to wait for the other side's acknowledgement.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Answer one request. Raises what the app raises while its answer is being sent; the connection ends then."""
        self.wfile.flush()  # what http.server says to `Expect: 100-continue`
        self.environ = environ = self.make_environ()
        body = self._request_body()
        environ["wsgi.input"], environ["wsgi.input_terminated"] = body, True
        answer = self.server.app(environ, self._start_response)
        try:
            for block in answer:
                self.wfile.write(block)
                self.wfile.flush()
            self.wfile.flush()
        finally:
            if close := getattr(answer, "close", None):
                close()
        # The next request begins where this one's body ends.
        try:
            while body.read(DRAINED_BYTES):
                pass
        except ClientDisconnected:
            self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        logger.debug(message, *args)

    def _request_body(self) -> BinaryIO:
        """The body of this request alone: http.server's stream goes on with the next one."""
        stream = self.environ["wsgi.input"]
        if isinstance(stream, DechunkedInput):
            return cast(BinaryIO, stream)
        return cast(BinaryIO, LimitedStream(stream, int(self.environ.get("CONTENT_LENGTH") or 0)))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nobody reads it, and werkzeug's own paints it for a terminal."""

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], _: object = None
    ) -> Callable[[bytes], object]:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        known = {name.lower() for name, _ in headers}
        if "content-length" not in known and int(code) != HTTPStatus.NO_CONTENT:
            self.send_header("Connection", "close")  # and so it says where it ends
        self.end_headers()
        return self.wfile.write
