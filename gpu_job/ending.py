"""Ending an upload in the job: a complete assembly -> its transcript and outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpu_job.assembly import coverage
from gpu_job.billing import api_bill_of
from gpu_job.services import JobServices
from gpu_job.work import Work
from shared.failures import EngineFailed
from shared.outcomes import Ending, failed, transcribed
from shared.transcript import compose
from shared.vocabulary import Engine


def ending_of(work: Work, model: Callable[[Sequence[Engine]], str], services: JobServices) -> Ending:
    """A complete assembly -> its outcome, billed for what left for an API. Where no chunk has an answer, it failed.

    `model`: names the models of some engines.
    """
    findings = [audit.findings for audit in work.audits]
    with work.lock:
        parts, passages = work.assembly.parts(), work.assembly.passages(findings)
        gaps, decoded = work.assembly.gaps(findings), work.assembly.duration
    failures = [part.failure for part in parts if part.failure]
    if failures and len(failures) == len(parts):
        return failed(EngineFailed(failures[0]), api_bill_of(work, services))
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
    return transcribed(transcript, api_bill_of(work, services), fallbacks=fallbacks)
