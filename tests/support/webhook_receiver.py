"""A receiver of webhooks on loopback, which answers as a test says."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = f"whsec_{base64.b64encode(b'0' * 32).decode()}"
"""Of tests."""


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in small letters."""
    body: bytes


@dataclass
class Receiver:
    """What it got so far, and what it answers from now on."""

    url: str
    statuses: list[int] = field(default_factory=list)
    """Of the next answers; 204 where there is none left."""
    location: str | None = None
    posted: list[Posted] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, posted: Posted) -> int:
        with self._changed:
            self.posted.append(posted)
            self._changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 204


@contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    """Runs while it is entered."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(Posted(self.path, headers, body)))
            if receiver.location is not None:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
