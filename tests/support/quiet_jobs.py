"""Jobs that have gone quiet, for the reconciler."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from infra.recordings import recording
from shared.clock import now
from shared.enums import Method
from shared.media import Media, Upload
from shared.messages import Decision
from shared.state.jobs.record import Job, JobState
from trigger_function.services import Services

AUDIO = recording("call.opus").path.read_bytes()
MEDIA = Media(
    container="ogg", codec="opus", duration_seconds=60, sample_rate_hz=48000, channels=1, size_bytes=len(AUDIO)
)
DECISION = Decision(method=Method.PARAKEET, rule="small", reason="1.0 min: Parakeet.")
AGO = timedelta(hours=1)


def quiet(
    services: Services,
    upload: Upload,
    *,
    received_ago: timedelta | None = None,
    retry_ago: timedelta | None = None,
    **changes: Any,
) -> Job:
    """A routed, queued job whose lease ran out an hour ago, but for `changes`."""
    if received_ago is not None:
        changes["received_at"] = now() - received_ago
    if retry_ago is not None:
        changes["retry_at"] = now() - retry_ago
    job = services.jobs.claim(upload, "function/gone", timedelta(minutes=1))
    assert job is not None
    usual = {"state": JobState.QUEUED, "lease_until": now() - AGO, "media": MEDIA, "decision": DECISION}
    return services.jobs.save(job, **{**usual, **changes})
