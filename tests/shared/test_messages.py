"""What travels on Pub/Sub comes back as it was sent, and can be filtered by its attributes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.errors import FailureKind
from shared.media import Media, Upload
from shared.messages import Decision, Saving, TerminalMessage, WorkItem, event_id
from shared.transcript.model import Coverage, Gap

UPLOAD = Upload(bucket="uploads", name="calls/\u00fc \U0001f600.mp3", generation=2**62)
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=60.5, sample_rate_hz=16000, channels=2, size_bytes=9)
DECISION = Decision(method=Method.DEEPGRAM, rule="long", reason="5 h.")
AT = datetime(2026, 8, 1, 12, 0, 0, 123456, UTC)


def terminal(**changes: Any) -> TerminalMessage:
    usual = {
        "event_id": event_id(UPLOAD.job_id),
        "job_id": UPLOAD.job_id,
        "upload": UPLOAD,
        "outcome": Outcome.COMPLETED,
        "received_at": AT,
        "finished_at": AT,
    }
    return TerminalMessage.model_validate({**usual, **changes})


def test_a_work_item_comes_back_as_it_was_sent() -> None:
    item = WorkItem(job_id=UPLOAD.job_id, upload=UPLOAD, media=MEDIA, decision=DECISION)
    assert WorkItem.model_validate_json(item.model_dump_json()) == item


@pytest.mark.parametrize(
    "message",
    [
        terminal(),
        terminal(outcome=Outcome.FAILED, reason="No.", failure_kind=FailureKind.QUOTA),
        terminal(
            outcome=Outcome.COMPLETED_WITH_GAPS,
            decision=DECISION,
            media=MEDIA,
            engines=(Engine.PARAKEET_GPU, Engine.DEEPGRAM),
            model="m",
            word_count=3,
            coverage=Coverage(speech_seconds=9, covered_seconds=8, gaps=(Gap(start=1, end=2, reason="Noise."),)),
            results={"transcript.json": "gs://results/a"},
            bill=Bill(items=(LineItem(kind=LineItemKind.GPU, resource="r", quantity=2, unit="s", usd_per_unit=0.1),)),
            saving=Saving(deepgram_model="nova-3", deepgram_usd=1, bill_usd=0.2),
        ),
    ],
    ids=["least", "failed", "everything"],
)
def test_a_terminal_message_comes_back_as_it_was_sent(message: TerminalMessage) -> None:
    assert TerminalMessage.model_validate_json(message.model_dump_json()) == message


def test_figures_are_in_the_message_not_left_to_its_readers() -> None:
    bill = Bill(items=(LineItem(kind=LineItemKind.GPU, resource="r", quantity=2, unit="s", usd_per_unit=0.1),))
    body = json.loads(
        terminal(bill=bill, saving=Saving(deepgram_model="m", deepgram_usd=1, bill_usd=0.2)).model_dump_json()
    )
    assert body["bill"]["usd"] == pytest.approx(0.2)
    assert body["bill"]["items"][0]["usd"] == pytest.approx(0.2)
    assert (body["saving"]["usd"], body["saving"]["share"]) == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(
    ("deepgram", "bill", "usd", "share"),
    [(2, 0.5, 1.5, 0.75), (1, 3, -2, -2), (0, 1, -1, 0), (0, 0, 0, 0), (1, 0, 1, 1)],
)
def test_a_saving_may_be_a_loss(deepgram: float, bill: float, usd: float, share: float) -> None:
    saving = Saving(deepgram_model="m", deepgram_usd=deepgram, bill_usd=bill)
    assert (saving.usd, saving.share) == pytest.approx((usd, share))


def test_attributes_are_strings_to_filter_by() -> None:
    assert terminal(decision=DECISION).attributes() == {
        "event_id": f"{UPLOAD.job_id}-terminal",
        "job_id": UPLOAD.job_id,
        "outcome": "completed",
        "method": "deepgram",
        "bucket": "uploads",
        "schema_version": "1",
    }
    assert terminal(outcome=Outcome.REJECTED).attributes()["method"] == "none"


def test_another_version_is_not_misread() -> None:
    body = json.loads(terminal().model_dump_json())
    with pytest.raises(ValidationError, match="schema_version"):
        TerminalMessage.model_validate({**body, "schema_version": 2})
