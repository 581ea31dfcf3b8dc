"""Where Deepgram posts the answer to one call: an address that nobody can make who does not have the key.

It names the job and the call, and carries HMAC-SHA256 over both. The job's id is a hash of the upload's bucket, name
and generation, and the call's id is random: an address that was seen once is good for that call of that job alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

JOB, CALL, TOKEN = "job", "call", "token"

_SIGNED = "dropscribe deepgram callback"
"""So that the key signs nothing else by the same bytes."""
_JOB_ID = re.compile(r"[0-9a-f]{24}")
_CALL_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"[0-9a-f]{64}")


def new_call_id() -> str:
    """Of one call, unlike any other's."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class CallbackAddresses:
    """Makes addresses below `url` and knows its own again."""

    keys: tuple[bytes, ...]
    """The first signs; all are known again, so that a key can be replaced while answers are awaited."""
    url: str | None = None
    """Of the function that takes callbacks; None: this process makes no addresses."""

    def address(self, job_id: str, call_id: str) -> str:
        """Where the answer to this call is to be posted. Raises ValueError where there is no `url`."""
        if self.url is None:
            raise ValueError("no address of the callback function is configured")
        token = _token(self.keys[0], job_id, call_id)
        return f"{self.url.rstrip('/')}/?{urlencode({JOB: job_id, CALL: call_id, TOKEN: token})}"

    def verified(self, parameters: Mapping[str, str]) -> tuple[str, str] | None:
        """Job and call of an address's parameters; None where it is not one of ours."""
        job_id, call_id, token = (parameters.get(name, "") for name in (JOB, CALL, TOKEN))
        if not (_JOB_ID.fullmatch(job_id) and _CALL_ID.fullmatch(call_id) and _TOKEN.fullmatch(token)):
            return None
        # Each is compared, and in the same time, so that the answer's time says nothing of the right token.
        genuine = [hmac.compare_digest(_token(key, job_id, call_id), token) for key in self.keys]
        return (job_id, call_id) if any(genuine) else None


def _token(key: bytes, job_id: str, call_id: str) -> str:
    return hmac.new(key, "\0".join((_SIGNED, job_id, call_id)).encode(), hashlib.sha256).hexdigest()
