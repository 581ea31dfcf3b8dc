"""A Flask app served on loopback by threads of this process: what every HTTP server of the laptop cloud stands on."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import Self
from weakref import WeakSet

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

logger = logging.getLogger(__name__)


class HttpServer:
    """Serves `app` on a free port of 127.0.0.1, one thread per connection; usable once.

    The port is bound at construction, so `url` can be handed out before `start()`; a client that is early waits.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._server = _Server("127.0.0.1", 0, app, _Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=f"http-{app.name}", daemon=True
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.port}"

    def start(self) -> None:
        """Answer requests from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Refuse new requests and cut those in flight; idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.cut_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadedWSGIServer):
    """Knows its connections: werkzeug's own server still answers the requests in flight after its shutdown."""

    def __init__(self, host: str, port: int, app: Flask, handler: type[WSGIRequestHandler]) -> None:
        self._connections: WeakSet[socket.socket] = WeakSet()
        super().__init__(host, port, app, handler)

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
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        logger.debug(message, *args)
