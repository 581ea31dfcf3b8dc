"""What travels on Pub/Sub comes back as it was sent, and can be filtered by its attributes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.errors import MAX_REASON_CHARACTERS, DropscribeError, FailureKind
from shared.media import Media, Upload
from shared.messages import (
    MAX_GAP_REASON_CHARACTERS,
    MAX_MESSAGE_GAPS,
    CoverageSummary,
    Decision,
    Saving,
    TerminalMessage,
    WorkItem,
    event_id,
)
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


@pytest.mark.parametrize("job_id", ["", "../../outcome", "a" * 24])
def test_a_work_item_of_another_job_is_none(job_id: str) -> None:
    with pytest.raises(ValidationError, match="the job is not the upload's"):
        WorkItem(job_id=job_id, upload=UPLOAD, media=MEDIA, decision=DECISION)


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
            coverage=CoverageSummary.of(
                Coverage(speech_seconds=9, covered_seconds=8, gaps=(Gap(start=1, end=2, reason="Noise."),))
            ),
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


@given(
    count=st.integers(0, 100_000),
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    repeats=st.integers(1, 500),
)
def test_a_message_stays_under_1_mb_whatever_its_gaps(count: int, text: str, repeats: int) -> None:
    # One gap many times: what is under test is the number and the length of reasons, which may be any text.
    gaps = (Gap(start=1, end=1.5, reason=text * repeats),) * count
    summary = CoverageSummary.of(Coverage(speech_seconds=9, covered_seconds=8, gaps=gaps))
    reason = DropscribeError(text * 10_000).reason
    message = terminal(coverage=summary, reason=reason)
    body = message.model_dump_json().encode()
    assert len(body) < 1_000_000
    assert TerminalMessage.model_validate_json(body) == message
    assert (summary.gap_count, len(summary.gaps)) == (count, min(count, MAX_MESSAGE_GAPS))
    assert summary.gap_seconds == count / 2
    assert all(len(gap.reason) <= MAX_GAP_REASON_CHARACTERS for gap in summary.gaps)
    assert len(reason) <= MAX_REASON_CHARACTERS


def test_a_message_cannot_be_made_with_more_gaps_than_a_summary_has() -> None:
    gaps = (Gap(start=1, end=2, reason="Noise."),) * (MAX_MESSAGE_GAPS + 1)
    with pytest.raises(ValidationError, match="gaps"):
        CoverageSummary(speech_seconds=9, covered_seconds=8, gaps=gaps, gap_count=len(gaps), gap_seconds=9)
    with pytest.raises(ValidationError, match="coverage"):
        terminal(coverage=Coverage(speech_seconds=9, covered_seconds=8, gaps=gaps))


def test_another_version_is_not_misread() -> None:
    body = json.loads(terminal().model_dump_json())
    with pytest.raises(ValidationError, match="schema_version"):
        TerminalMessage.model_validate({**body, "schema_version": 2})
