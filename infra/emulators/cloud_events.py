"""What Eventarc says about a Cloud Storage object, as a CloudEvent over HTTP."""

from __future__ import annotations

import json
import secrets
import string
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

# CloudEvents HTTP binding 1.0.2, 3.1.3.2: of printable ASCII only space, double quote and percent are encoded.
HEADER_SAFE = string.punctuation.replace('"', "").replace("%", "")


@dataclass(frozen=True)
class Event:
    """A CloudEvent about one object, with the bytes of its body."""

    id: str
    bucket: str
    name: str
    time: datetime
    body: bytes

    def headers(self) -> dict[str, str]:
        """The headers of binary content mode."""
        attributes = {
            "id": self.id,
            "type": "google.cloud.storage.object.v1.finalized",
            "source": f"//storage.googleapis.com/projects/_/buckets/{self.bucket}",
            "subject": f"objects/{self.name}",
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "specversion": "1.0",
            "bucket": self.bucket,
        }
        encoded = {f"ce-{name}": quote(value, safe=HEADER_SAFE) for name, value in attributes.items()}
        return {**encoded, "Content-Type": "application/json"}


def new_traceparent() -> str:
    """What Cloud Run adds to every request that brings none: a trace of its own, here always a sampled one."""
    return f"00-{uuid.uuid4().hex}-{secrets.token_hex(8)}-01"


def finalized(resource: Mapping[str, object]) -> Event:
    """A new event that says the Cloud Storage object `resource` is complete."""
    return Event(
        id=uuid.uuid4().hex,
        bucket=str(resource["bucket"]),
        name=str(resource["name"]),
        time=datetime.now(UTC),
        body=json.dumps(resource).encode(),
    )
