"""Ending an upload in the job: a complete assembly -> its transcript and outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpu_job.assembly.assemble import coverage
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.state.finisher import JobResult, completed, failed
from shared.transcript.model import compose


def ending_of(work: RunningJob, model: Callable[[Sequence[Engine]], str], services: JobServices) -> JobResult:
    """A complete assembly -> its outcome. Where no chunk has an answer, it failed.

    `model`: names the models of some engines.
    """
    findings = [audit.findings for audit in work.audits]
    with work.lock:
        parts, passages = work.assembly.parts(), work.assembly.passages(findings)
        gaps, decoded = work.assembly.gaps(findings), work.assembly.duration
    failures = [part.failure for part in parts if part.failure]
    if failures and len(failures) == len(parts):
        return failed(EngineFailed(failures[0]))
    engines = list(dict.fromkeys(part.engine for part in parts if not part.failure))
    transcript = compose(
        upload=work.upload,
        duration=max([decoded, *(gap.end for gap in gaps)]),
        language=services.settings.language,
        model=model(engines),
        passages=passages,
        coverage=coverage(passages, gaps, findings),
    )
    fallbacks = sum(part.is_fallback for part in parts)
    return completed(transcript, fallbacks=fallbacks)
