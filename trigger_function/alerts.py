"""Alerts: what the deployment's owner should know at once, each told once, on the topic `transcription-alerts`.

A marker in the state bucket says who tells an alert, and that it was told. Whoever creates the marker publishes; a
marker that is still untold after a while belonged to a process that died, and the next one who looks publishes again.
So an alert is never lost, and a listener who knows its `event_id` never sees it twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from google.cloud import pubsub_v1
from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.clock import now
from shared.errors import StateConflict

PUBLISH_TIMEOUT_SECONDS = 60.0
"""Longest wait until the alert is accepted."""

UNTOLD = timedelta(seconds=2 * PUBLISH_TIMEOUT_SECONDS)
"""A marker this old that was not told: its writer died."""

THRESHOLDS = (0.5, 0.8, 1.0)
"""Shares of the budget that are worth a warning."""


class BudgetAlert(BaseModel):
    """A month's spending reached a share of its budget."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    event_id: str
    """Stable for month and share, and for the first refusal."""
    month: str
    share: Annotated[float, Field(gt=0)]
    """Of the budget, that was reached; 1 where an upload was refused for want of money."""
    spent_usd: Annotated[float, Field(ge=0)]
    """Billed and reserved."""
    budget_usd: Annotated[float, Field(gt=0)]
    text: str
    """The same in one sentence."""

    def attributes(self) -> dict[str, str]:
        """Pub/Sub attributes, for subscription filters."""
        return {"event_id": self.event_id, "kind": "budget", "month": self.month}


class _Marker(BaseModel):
    model_config = ConfigDict(frozen=True)

    taken_at: datetime
    told: bool = False


def budget_alerts(month: str, spent: float, budget: float, *, refused: bool = False) -> list[BudgetAlert]:
    """The shares of its budget that a month has reached, and that an upload was refused for want of money.

    A refusal counts as the whole budget, under an id of its own: one huge file early in the month must not use up the
    warnings of what is spent later.
    """
    sums = f"{spent / budget:.0%} of the budget of ${budget:.2f} for {month} is spent or reserved: ${spent:.2f}."
    told = [(f"{share:.0%}", share, sums) for share in THRESHOLDS if spent >= share * budget]
    if refused:
        told.append(("refused", 1.0, f"An upload was refused for want of money; {sums}"))
    return [
        BudgetAlert(
            event_id=f"budget-{month}-{what}",
            month=month,
            share=share,
            spent_usd=spent,
            budget_usd=budget,
            text=text,
        )
        for what, share, text in told
    ]


class Alerts:
    """Tells each alert once, whoever and however many notice it."""

    def __init__(self, bucket: Bucket, publisher: pubsub_v1.PublisherClient, topic: str) -> None:
        self._bucket = bucket
        self._publisher = publisher
        self._topic = topic
        self._told: set[str] = set()

    def tell(self, alert: BudgetAlert) -> bool:
        """Publish the alert unless it was told, or is being told; True where this call published it."""
        if alert.event_id in self._told:
            return False
        marker = self._take(alert)
        if marker is None:
            return False
        attributes: dict[str, Any] = alert.attributes()
        sent = self._publisher.publish(self._topic, alert.model_dump_json().encode(), **attributes)
        sent.result(timeout=PUBLISH_TIMEOUT_SECONDS)
        objects.replace(self._bucket, _name(alert), _dump(_Marker(taken_at=now(), told=True)), marker.generation)
        self._told.add(alert.event_id)
        return True

    def _take(self, alert: BudgetAlert) -> objects.Versioned | None:
        """Become the one who tells; None where it was told, or another one tells it now."""
        mine = _dump(_Marker(taken_at=now()))
        stored = objects.create_once(self._bucket, _name(alert), mine)
        if stored.data == mine:
            return stored
        marker = _Marker.model_validate_json(stored.data)
        if marker.told:
            self._told.add(alert.event_id)
            return None
        if now() - marker.taken_at < UNTOLD:
            return None
        try:
            return objects.replace(self._bucket, _name(alert), mine, stored.generation)
        except StateConflict:
            return None


def _name(alert: BudgetAlert) -> str:
    return f"alerts/{alert.event_id}.json"


def _dump(marker: _Marker) -> bytes:
    return marker.model_dump_json().encode()
