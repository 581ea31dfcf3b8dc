"""How a job ended, before anything of it is stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.enums import Outcome
from shared.errors import DropscribeError, FailureKind
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.state.jobs.record import JobRecord
from shared.transcript.model import Transcript


@dataclass(frozen=True)
class JobResult:
    """An outcome with its transcript, or with the reason why there is none."""

    outcome: Outcome
    transcript: Transcript | None = None
    reason: str | None = None
    failure_kind: FailureKind | None = None
    fallbacks: int = 0
    """Chunks that another engine than the first transcribed, after that one failed."""
    unredacted: Transcript | None = field(default=None, repr=False)
    """The transcript before redaction, where there was any: for a bucket of its own, or for nobody."""


def completed(transcript: Transcript, *, fallbacks: int = 0) -> JobResult:
    """A transcript -> completed, or completed_with_gaps where words of something that was said are missing."""
    gaps = transcript.coverage.gaps
    if not gaps:
        return JobResult(Outcome.COMPLETED, transcript, fallbacks=fallbacks)
    missing = sum(gap.end - gap.start for gap in gaps)
    reason = f"No words for {len(gaps)} stretches, {missing:.1f} s in all; coverage.gaps of transcript.json lists them."
    return JobResult(Outcome.COMPLETED_WITH_GAPS, transcript, reason, fallbacks=fallbacks)


def rejected(error: DropscribeError) -> JobResult:
    """The upload itself is at fault."""
    return JobResult(Outcome.REJECTED, reason=error.reason, failure_kind=error.kind)


def failed(error: DropscribeError) -> JobResult:
    """Every engine that may be used was tried."""
    return JobResult(Outcome.FAILED, reason=error.reason, failure_kind=error.kind)


def keeps_parts(ended: TerminalMessage | JobResult, options: UploadOptions | None = None) -> bool:
    """Whether what its attempts left is kept: a re-run of a job that failed goes on with it.

    Not where anything was to be redacted: what they left has every word. `options`: of the upload, where only a result
    is known."""
    redacts = options.redaction.is_asked if options else isinstance(ended, TerminalMessage) and bool(ended.redact)
    return ended.outcome is Outcome.FAILED and not redacts


def exhausted(record: JobRecord) -> str:
    """Why a job whose workers ended again and again is given up."""
    alone = " and no other" if record.lost_so_far > 1 else ""
    return f"The worker ended {record.attempts_so_far} times while it worked on the file{alone}.{_last(record)}"


def waited_too_long(record: JobRecord, max_wait_hours: float) -> str:
    """Why a job is given up that could be tried again."""
    return f"Nothing could transcribe the file within {max_wait_hours:g} h.{_last(record)}"


def _last(record: JobRecord) -> str:
    return f" The last time: {record.last_error}" if record.last_error else ""
