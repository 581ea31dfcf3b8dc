"""Whom an outcome is posted to: the deployment's own URLs, and the one that its upload asks for, where that is allowed.

Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from shared.errors import Rejected
from shared.options.metadata_keys import WEBHOOK_METADATA

MAX_ENDPOINTS = 10
"""Of a deployment, as WEBHOOK_URLS has them. An upload's own comes on top; all are posted to side by side, within one
request of Pub/Sub's."""


def origin_of(url: str) -> str | None:
    """`https://host[:port]` of a URL, in small letters, as browsers write it; None where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or "\\" in url:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def check_allowed(url: str, origins: Collection[str]) -> None:
    """Raises Rejected where an upload may not have its outcome posted to this URL."""
    if origin_of(url) not in {origin_of(one) for one in origins} - {None}:
        allowed = ", ".join(sorted(origins)) or "nowhere: WEBHOOK_ALLOWED_ORIGINS is not set"
        raise Rejected(f"The file's {WEBHOOK_METADATA} leads where no outcome may be posted to; allowed: {allowed}.")


def endpoints(deployment: Collection[str], requested: str | None, origins: Collection[str]) -> Iterator[str]:
    """The URLs of one outcome, each once. What the upload requests is checked again: the list may have changed."""
    seen = dict.fromkeys(list(dict.fromkeys(deployment))[:MAX_ENDPOINTS])
    if requested is not None and origin_of(requested) in {origin_of(one) for one in origins} - {None}:
        seen[requested] = None
    yield from seen


def endpoint_id(url: str) -> str:
    """A name for a URL in objects and logs: the URL itself may hold a secret."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]
