"""Who may talk to the page's server: browsers that show this very page, and nobody else's page in the same browser.

Other pages can send requests to any port of this machine. `infra/emulators/http_server.py` refuses what browsers say to
be another page's, and other hosts' names. Besides, what changes something here asks for a token, which only a reader of
the page has; and no answer is for other pages.
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

    def protect(self, app: Flask) -> None:
        """From now on `app` changes nothing without the token."""

        @app.before_request
        def check() -> None:
            if request.method in _SAFE_METHODS:
                return
            if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
                abort(HTTPStatus.FORBIDDEN)

        @app.after_request
        def add_headers(response: Response) -> Response:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response
