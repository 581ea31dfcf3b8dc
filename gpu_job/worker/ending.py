"""Ending an upload in the job: a complete assembly -> its transcript and outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpu_job.assembly.assemble import coverage
from gpu_job.worker.billing import api_bill_of
from gpu_job.worker.running_job import RunningJob
from gpu_job.worker.services import JobServices
from shared.enums import Engine
from shared.errors import EngineFailed
from shared.state.finisher import Ending, failed, transcribed
from shared.transcript.model import compose


def ending_of(work: RunningJob, model: Callable[[Sequence[Engine]], str], services: JobServices) -> Ending:
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
