"""Who may talk to the page's server: browsers that show this very page, and nobody else's page in the same browser.

Other pages can send requests to any port of this machine. They cannot read the answers, for none allows them to; what
changes something asks for a token, which only a reader of the page has; and a name of theirs that leads to this machine
(DNS rebinding) is not answered.
"""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus

from flask import Flask, Response, abort, request

TOKEN_HEADER = "X-Dropscribe-Token"  # noqa: S105 - its name, not a token
"""A page of another origin cannot send a header of its own without asking first, and is refused then."""

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer: what is on this page is for no other one, not even as a script, a picture or a frame."""


class Guard:
    """Refuses requests that do not come from the page itself."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)

    def protect(self, app: Flask, port: int) -> None:
        """From now on `app` answers for 127.0.0.1 and localhost on this port alone."""
        hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

        @app.before_request
        def check() -> None:
            if request.host not in hosts:
                abort(HTTPStatus.MISDIRECTED_REQUEST)
            if request.method in _SAFE_METHODS:
                return
            # Browsers send at least one of these with what changes something, and no page can forge them.
            origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
            if origin not in (None, f"http://{request.host}") or site not in (None, "same-origin"):
                abort(HTTPStatus.FORBIDDEN)
            if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
                abort(HTTPStatus.FORBIDDEN)

        @app.after_request
        def add_headers(response: Response) -> Response:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response
