"""Requests that a page of somebody else's makes a browser send.

Every page can have its browser send requests to any port of the machine that the browser runs on. It cannot read the
answers, as long as none allows it to, but what they ask for is done. The browser says so in two headers, which no page
can forge or leave out of a request that may change something.
"""

from __future__ import annotations

from werkzeug.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing, and a link to here from another page is nothing to refuse."""


def is_of_another_page(method: str, host: str, headers: Headers) -> bool:
    """Whether a browser sends this for a page that is not served by `host` (with its port), and something may change.

    Programs that are no browser send neither Origin nor Sec-Fetch-Site, and are none.
    """
    if method in SAFE_METHODS:
        return False
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    return origin not in {None, f"http://{host}", f"https://{host}"} or site not in {None, "same-origin", "none"}
