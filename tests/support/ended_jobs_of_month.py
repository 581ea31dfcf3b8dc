"""Jobs of a month as the ledger and the state bucket have them, made by the product's own rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from infra.cli.report.data import Known
from shared.costs.bill import Bill, LineItem, LineItemKind, Phase
from shared.enums import Engine, JobDevice, Method, Outcome
from shared.media import Media, Upload
from shared.messages import CoverageSummary, Decision, Saving, TerminalMessage, event_id
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger_entry import Entry, billed, reservation
from shared.transcript.model import Coverage, Gap

MONTH = "2026-11"
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY_16 = datetime(2026, 11, 16, tzinfo=UTC)
"""Half of November is over."""
REASON = "An L4 is cheapest for 10 min of audio."


def media(seconds: float) -> Media:
    return Media(
        container="mp3", codec="mp3", duration_seconds=seconds, sample_rate_hz=44_100, channels=2, size_bytes=1000
    )


def ended_job(
    number: int,
    *,
    name: str | None = None,
    day: int = 3,
    method: Method | None = Method.PARAKEET,
    outcome: Outcome = Outcome.COMPLETED,
    usd: float = 0.25,
    deepgram_usd: float | None = 0.5,
    audio_seconds: float = 600.0,
    wait_seconds: float = 10.0,
    work_seconds: float = 60.0,
    gaps: tuple[Gap, ...] = (),
    reason: str | None = None,
    decision: str = REASON,
    rule: str = "cheapest",
    audited: bool = True,
    run: int = 1,
) -> TerminalMessage:
    """The outcome of a job whose bill is start-up for a quarter."""
    upload = Upload(bucket="uploads", name=name if name is not None else f"calls/{number}.mp3", generation=number + 1)
    has_text = outcome in (Outcome.COMPLETED, Outcome.COMPLETED_WITH_GAPS)
    received = BEGIN + timedelta(days=day - 1, hours=1)
    device = JobDevice.GPU if method in (Method.PARAKEET, Method.HYBRID) else None
    bill = Bill(items=tuple(_line(phase, usd * share) for phase, share in _SHARES.items() if usd)) if method else Bill()
    coverage = Coverage(
        speech_seconds=audio_seconds / 2,
        covered_seconds=audio_seconds / 2 - sum(gap.end - gap.start for gap in gaps),
        gaps=gaps,
        audited=audited,
    )
    return TerminalMessage(
        event_id=event_id(upload.job_id, run),
        job_id=upload.job_id,
        run=run,
        upload=upload,
        outcome=outcome,
        reason=reason,
        decision=Decision(method=method, rule=rule, reason=decision, device=device) if method else None,
        media=media(audio_seconds) if method else None,
        engines=(Engine.DEEPGRAM if device is None else Engine.PARAKEET_GPU,) if has_text else (),
        coverage=CoverageSummary.of(coverage) if has_text else None,
        results={"transcript.html": f"gs://results/{upload.name}/1/transcript.html"} if has_text else {},
        bill=bill,
        saving=_saving(bill.usd, deepgram_usd) if has_text else None,
        received_at=received,
        finished_at=received + timedelta(seconds=wait_seconds + work_seconds),
        wait_seconds=wait_seconds,
        work_seconds=work_seconds,
    )


_SHARES = {Phase.START_UP: 0.25, Phase.TRANSCRIPTION: 0.75}


def _line(phase: Phase, usd: float) -> LineItem:
    return LineItem(
        kind=LineItemKind.GPU, phase=phase, resource="nvidia-l4", quantity=1, unit="GPU-s", usd_per_unit=usd
    )


def _saving(usd: float, deepgram_usd: float | None) -> Saving:
    return Saving(deepgram_model="nova-3", deepgram_usd=deepgram_usd or 0.0, bill_usd=usd)


def waiting_job(number: int, usd: float, **changes: Any) -> tuple[Entry, Known]:
    """A job that is queued, as the ledger reserves it."""
    upload = Upload(bucket="uploads", name=f"calls/{number}.mp3", generation=number + 1)
    record = JobRecord(
        **{
            "upload": upload,
            "state": JobState.QUEUED,
            "holder": "me",
            "lease_until": DAY_16,
            "received_at": DAY_16 - timedelta(hours=1),
            "media": media(600),
            "decision": Decision(method=Method.PARAKEET, rule="cheapest", reason=REASON, device=JobDevice.GPU),
            **changes,
        }
    )
    return reservation(record, usd), Known(record=record)


def lines_of(*messages: TerminalMessage) -> tuple[list[Entry], dict[str, Known]]:
    """The ledger's lines of ended jobs, and what is known of each."""
    entries = [billed(message) for message in messages]
    return entries, {entry.id: Known(outcome=one) for entry, one in zip(entries, messages, strict=True)}
