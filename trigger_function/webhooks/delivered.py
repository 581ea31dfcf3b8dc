"""What is done of webhooks, in the state bucket: which outcome was taken by whom, and who wants no more.

jobs/<job>/webhooks/<run>-<endpoint>.json    the outcome was taken, or refused for good: not posted there again
webhooks/<endpoint>.json                     410 Gone: nothing is posted there for GONE_HOURS
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict

from shared import objects
from shared.clock import now
from shared.messages import TerminalMessage
from shared.unreadable import NewerVersion, parsed
from trigger_function.webhooks.endpoints import endpoint_id

GONE_HOURS = 24.0
"""For which an endpoint is left alone that answered 410: the specification has a sender disable it. It is asked once
more after that, for nobody tells when it is there again."""


class _Done(BaseModel):
    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    at: datetime
    status: int


class Delivered:
    """Of one deployment. Raises what the storage client raises."""

    def __init__(self, state: Bucket) -> None:
        self._state = state

    def is_done(self, outcome: TerminalMessage, url: str) -> bool:
        """Whether this outcome needs no posting there any more."""
        return objects.exists(self._state, _name(outcome, url))

    def done(self, outcome: TerminalMessage, url: str, status: int) -> None:
        """It was answered so, which is the last word."""
        objects.create_once(self._state, _name(outcome, url), _dump(status))

    def is_gone(self, url: str) -> bool:
        """Whether the endpoint wants nothing, as it said lately. Where that cannot be read, it says so once more."""
        name = _gone_name(url)
        stored, gone = objects.read(self._state, name), None
        with suppress(NewerVersion):
            gone = None if stored is None else parsed(stored.data, _Done, name)
        return gone is not None and now() - gone.at < timedelta(hours=GONE_HOURS)

    def gone(self, url: str, status: int) -> None:
        """It said so now."""
        objects.write(self._state, _gone_name(url), _dump(status))


def _dump(status: int) -> bytes:
    return _Done(at=now(), status=status).model_dump_json().encode()


def _name(outcome: TerminalMessage, url: str) -> str:
    return f"jobs/{outcome.job_id}/webhooks/{outcome.run}-{endpoint_id(url)}.json"


def _gone_name(url: str) -> str:
    return f"webhooks/{endpoint_id(url)}.json"
