"""Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, once for each secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. Twenty lines rather than its
library, which brings an HTTP client of its own; tests hold both to each other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets begin with
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
"""The specification's."""


class BadSecret(ValueError):
    """It is no secret of Standard Webhooks. The text does not quote it."""


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """`whsec_...`, several separated by commas -> their bytes. Raises BadSecret."""
    return tuple(_parsed(one.strip()) for one in text.split(",") if one.strip())


def _parsed(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(f"a secret of webhooks has to be {SECRET_PREFIX} and base64") from None
    if not LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES:
        limits = f"{LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes"
        raise BadSecret(f"a secret of webhooks has to have {limits}, and has {len(secret)}")
    return secret


def signed_headers(webhook_id: str, at: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers by which a receiver knows sender, time and body. While a secret is replaced there are two, and a
    signature by each: a receiver takes any."""
    seconds = str(int(at.timestamp()))
    signed = b".".join((webhook_id.encode(), seconds.encode(), body))
    signatures = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }
