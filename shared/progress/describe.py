"""Progress in words, the same everywhere. Pure."""

from __future__ import annotations

from datetime import datetime

from shared.clock import now
from shared.enums import Method
from shared.progress.model import Progress, Stage


def describe(progress: Progress, at: datetime | None = None) -> str:
    """One line without the upload's name: `transcribing 41%, decoded 90%, 36 x real time, 2 min left`.

    For bars, pages, logs and terminals: it has nothing from outside but an outcome's reason, which is to be escaped
    where it is shown. `at`: the moment it is shown; by default now. With `read_progress` of
    `shared/state/jobs/progress.py`, which reads a job's progress, this is all that one needs to show it.
    """
    parts = [stage_text(progress)]
    if progress.is_done:
        return f"{parts[0]}: {progress.reason}" if progress.reason else parts[0]
    if progress.shards and progress.stage is not Stage.ASSEMBLING:
        parts.append(f"{progress.shards_done} of {progress.shards} parts done")
    if progress.executions > 1:
        parts.append(f"{progress.executions} workers")
    if progress.x_real_time is not None:
        parts.append(f"{speed_text(progress.x_real_time)} x real time")
    if (left := progress.seconds_left(at or now())) is not None:
        parts.append(f"{rough_duration(left)} left")
    return ", ".join(parts)


def stage_text(progress: Progress) -> str:
    """What happens to the job and how far that is, without speed and time."""
    match progress.stage:
        case Stage.ACCEPTED:
            return "submitted"
        case Stage.CLAIMED:
            return "being inspected"
        case Stage.INSPECTED | Stage.QUEUED:
            return "waiting" if progress.attempts == 0 else "waiting for another attempt"
        case Stage.STARTED:
            return "starting"
        case Stage.DECODING:
            return f"decoding {progress.decoded:.0%}"
        case Stage.TRANSCRIBING if progress.method is Method.DEEPGRAM and not progress.executions:
            return "transcribed by Deepgram"
        case Stage.TRANSCRIBING:
            decoded = f", decoded {progress.decoded:.0%}" if progress.decoded < 1 and not progress.shards else ""
            return f"transcribing {progress.transcribed:.0%}{decoded}"
        case Stage.ASSEMBLING:
            return "checking that no words are missing"
        case Stage.DONE:
            return progress.outcome.value.replace("_", " ") if progress.outcome else "done"


def speed_text(x_real_time: float) -> str:
    """`8.4` or `123`."""
    return f"{x_real_time:.1f}" if x_real_time < 10 else f"{x_real_time:.0f}"


def rough_duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`: no more digits than an estimate has."""
    if seconds < 55:
        return f"{max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    minutes = 5 * round(minutes / 5)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
