"""Alerts: what the deployment's owner should know at once, each published once, on the topic `transcription-alerts`.

A marker in the state bucket says which process publishes an alert, and that it did. Where a marker says for a while
that an alert is being published, its process died, and the next one to notice publishes. So an alert is never lost,
and a subscriber who remembers `event_id` never acts on it twice.
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
from shared.state.jobs.record import new_holder

PUBLISH_TIMEOUT_SECONDS = 60.0
"""Longest wait until the alert is accepted."""

PUBLISHER_DEAD_AFTER = timedelta(seconds=2 * PUBLISH_TIMEOUT_SECONDS)
"""An alert that was not published so long after its marker was written: the process that wrote it died."""

THRESHOLDS = (0.5, 0.8, 1.0)
"""Shares of the budget that are worth an alert."""


class BudgetAlert(BaseModel):
    """A month's spending reached a share of its budget, or an upload was rejected because the budget is exhausted."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    event_id: str
    """Stable for month and share, and for the month's first rejection."""
    month: str
    share: Annotated[float, Field(gt=0)]
    """Of the budget, that was reached; 1 where an upload was rejected."""
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

    publisher: str | None = None
    """The process that publishes the alert; None where none began."""
    taken_at: datetime | None = None
    published: bool = False


def budget_alerts(month: str, spent: float, budget: float, *, rejected: bool = False) -> list[BudgetAlert]:
    """The shares of its budget that a month has reached, and that an upload was `rejected` for lack of it.

    A rejection counts as the whole budget, under an id of its own: one huge file early in the month must not use up
    the alerts about what is spent later.
    """
    sums = f"{spent / budget:.0%} of the budget of ${budget:.2f} for {month} is spent or reserved: ${spent:.2f}."
    reasons = [(f"{share:.0%}", share, sums) for share in THRESHOLDS if spent >= share * budget]
    if rejected:
        reasons.append(("rejected", 1.0, f"An upload was rejected: budget exhausted; {sums}"))
    return [
        BudgetAlert(
            event_id=f"budget-{month}-{what}",
            month=month,
            share=share,
            spent_usd=spent,
            budget_usd=budget,
            text=text,
        )
        for what, share, text in reasons
    ]


class Alerts:
    """Publishes each alert once, whichever and however many instances notice it."""

    def __init__(self, bucket: Bucket, publisher: pubsub_v1.PublisherClient, topic: str) -> None:
        self._bucket = bucket
        self._publisher = publisher
        self._topic = topic
        self._published: set[str] = set()

    def publish(self, alert: BudgetAlert) -> bool:
        """Publish the alert unless it was, or is being; True where this call did. Raises GoogleAPICallError."""
        if alert.event_id in self._published or not self._claim(alert):
            return False
        attributes: dict[str, Any] = alert.attributes()
        sent = self._publisher.publish(self._topic, alert.model_dump_json().encode(), **attributes)
        sent.result(timeout=PUBLISH_TIMEOUT_SECONDS)
        objects.update_json(
            self._bucket, _name(alert), _Marker(), lambda marker: marker.model_copy(update={"published": True})
        )
        self._published.add(alert.event_id)
        return True

    def _claim(self, alert: BudgetAlert) -> bool:
        """Become the one who publishes the alert; False where it was published, or another process is about to."""
        at = now()
        claimed = _Marker(publisher=new_holder("alerts"), taken_at=at)

        def claim(marker: _Marker) -> _Marker | None:
            alive = marker.taken_at is not None and at - marker.taken_at < PUBLISHER_DEAD_AFTER
            return None if marker.published or alive else claimed

        try:
            marker = objects.update_json(self._bucket, _name(alert), _Marker(), claim)
        except StateConflict:
            return False
        if marker.published:
            self._published.add(alert.event_id)
        return marker == claimed


def _name(alert: BudgetAlert) -> str:
    return f"alerts/{alert.event_id}.json"
