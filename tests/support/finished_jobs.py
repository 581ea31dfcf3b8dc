"""Jobs that have ended, without a worker: their results, outcomes and ledger lines are there."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Engine, Method
from shared.errors import DropscribeError
from shared.media import Media, Upload
from shared.messages import Decision, TerminalMessage
from shared.state.deployment import Deployment
from shared.state.job_result import completed, failed
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, Word

MEDIA = Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=9)


def cost(usd: float) -> Bill:
    return Bill(items=(LineItem(kind=LineItemKind.GPU, resource="gpu", quantity=usd, unit="usd", usd_per_unit=1),))


def transcript_of(upload: Upload, text: str = "one two") -> Transcript:
    words = [Word(text=each, start=index, end=index + 0.5) for index, each in enumerate(text.split())]
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=60,
        language="en",
        model="parakeet",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
    )


def finish_job(
    deployment: Deployment,
    upload: Upload,
    *,
    fails: bool = False,
    usd: float = 0.5,
    received_at: datetime | None = None,
    text: str = "one two",
) -> TerminalMessage:
    """Open and end the upload's job."""
    job = deployment.jobs.claim(upload, "worker", timedelta(0))
    assert job is not None
    decision = Decision(method=Method.PARAKEET, rule="small", reason="Small.")
    times = {"received_at": received_at or job.record.received_at, "started_at": now()}
    job = deployment.jobs.save(job, media=MEDIA, decision=decision, spent=cost(usd), **times)
    result = failed(DropscribeError("Broken.")) if fails else completed(transcript_of(upload, text))
    return deployment.finisher.finish(job.record, result)
