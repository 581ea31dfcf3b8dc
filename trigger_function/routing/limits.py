"""Limits: what speaks against each method for one upload, under the cost policy and the decision table alike. Pure.

An upload that every method is forbidden for is rejected in `router.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.costs.gathering import Queue
from shared.costs.quote import Limit, Quote, Refusal
from shared.costs.speeds import Speeds
from shared.enums import JobDevice, Method
from shared.keyterms.deepgram import MODELS as KEYTERM_MODELS
from shared.languages.models import takes_no_keyterms
from shared.media import Media
from shared.options.model import UploadOptions
from trigger_function.routing.engines import (
    Engines,
    deepgram_file_obstacle,
    deepgram_obstacle,
    job_obstacle,
    redaction_obstacle,
)


@dataclass(frozen=True)
class DeploymentLimits:
    """What a deployment sets for every upload. None: no limit."""

    max_completion_minutes: float | None = None
    max_cost_per_audio_hour_usd: float | None = None
    gpu_min_monthly_files: int = 0
    gpu_rollout_percent: int = 100

    def deadline_minutes(self, options: UploadOptions) -> float | None:
        """The upload's own deadline, else the deployment's."""
        return options.deadline_minutes or self.max_completion_minutes


@dataclass(frozen=True)
class UploadFacts:
    """One upload as routing sees it: what inspection found, and what its owner requested."""

    job_id: str
    media: Media
    options: UploadOptions
    is_one_engines: bool = False
    """Whether a re-run names the engine, so that no other one is asked where words are missing."""


@dataclass(frozen=True)
class Conditions:
    """What a decision depends on beside upload and settings, read anew for each upload."""

    speeds: Speeds
    """As learned from the deployment's own runs so far."""
    gpu_healthy: bool = True
    """Whether the circuit breaker lets an upload have the GPU."""
    queue: Queue = field(default_factory=Queue)
    """Of the GPU job."""
    cpu_queue: Queue = field(default_factory=Queue)
    """Of the CPU job."""
    budget_left_usd: float | None = None
    """What the upload's month has left beside all bills and reservations; None without a budget."""
    month_files: int | None = None
    """Uploads of that month; None where no limit depends on them."""


def with_refusals(
    quote: Quote, upload: UploadFacts, limits: DeploymentLimits, engines: Engines, conditions: Conditions
) -> Quote:
    """The quote with everything that speaks against its method."""
    refusals = [*quote.refusals]
    if quote.method is Method.DEEPGRAM and (obstacle := deepgram_file_obstacle(upload.media)) is not None:
        refusals.append(Refusal(limit=Limit.ENGINE, why=obstacle))
    if quote.method is Method.DEEPGRAM and (obstacle := redaction_obstacle(upload.options)) is not None:
        refusals.append(Refusal(limit=Limit.ENGINE, why=obstacle))
    if quote.method is not Method.PARAKEET:
        refusals += _against_deepgram(upload, engines)
    if quote.method is not Method.DEEPGRAM:
        refusals += _against_job(quote.device, upload, limits, engines, conditions)
    refusals += _against_price_and_time(quote, upload, limits, conditions)
    return quote.model_copy(update={"refusals": tuple(refusals), "remarks": tuple(_remarks(quote, upload, engines))})


def _remarks(quote: Quote, upload: UploadFacts, engines: Engines) -> Iterator[str]:
    """Key terms that an engine does not favour. Of the deployment's own model the function knows no name."""
    if not upload.options.has_keyterms:
        return
    model = engines.languages.model_for(upload.options.language)
    if quote.method is not Method.DEEPGRAM and model is not None and takes_no_keyterms(model):
        yield f"{model} favours no key terms"
    if quote.method is not Method.PARAKEET and not engines.deepgram_model.startswith(KEYTERM_MODELS):
        yield f"Deepgram's {engines.deepgram_model} favours no key terms"


def _against_deepgram(upload: UploadFacts, engines: Engines) -> Iterator[Refusal]:
    if upload.options.is_private:
        yield Refusal(limit=Limit.PRIVACY, why="the file may not leave for an API")
    if (obstacle := deepgram_obstacle(upload.media, engines)) is not None:
        yield Refusal(limit=Limit.ENGINE, why=obstacle)
    if (obstacle := engines.languages.deepgram_obstacle(upload.options.language)) is not None:
        yield Refusal(limit=Limit.LANGUAGE, why=obstacle)


def _against_job(
    device: JobDevice | None, upload: UploadFacts, limits: DeploymentLimits, engines: Engines, conditions: Conditions
) -> Iterator[Refusal]:
    if not (engines.gpu or engines.cpu):
        # A private file without a local engine would wait for ever.
        limit = Limit.PRIVACY if upload.options.is_private else Limit.NO_JOB
        yield Refusal(limit=limit, why="no job is configured that may be used")
    elif device is not JobDevice.CPU and not conditions.gpu_healthy:
        yield Refusal(limit=Limit.NO_JOB, why="the GPU job fails at the moment")
    if (obstacle := job_obstacle(device or JobDevice.GPU, upload.media, engines)) is not None:
        yield Refusal(limit=Limit.FILE_SIZE, why=obstacle)
    if (obstacle := engines.languages.job_obstacle(upload.options.language, device or JobDevice.GPU)) is not None:
        yield Refusal(limit=Limit.LANGUAGE, why=obstacle)
    if conditions.month_files is not None and conditions.month_files < limits.gpu_min_monthly_files:
        why = f"{conditions.month_files} files this month, the job is for {limits.gpu_min_monthly_files} and more"
        yield Refusal(limit=Limit.MONTHLY_FILES, why=why)
    if rollout_percentile(upload.job_id) >= limits.gpu_rollout_percent:
        why = f"the job takes {limits.gpu_rollout_percent} % of the uploads, and this one is not among them"
        yield Refusal(limit=Limit.ROLLOUT, why=why)


def _against_price_and_time(
    quote: Quote, upload: UploadFacts, limits: DeploymentLimits, conditions: Conditions
) -> Iterator[Refusal]:
    usd, minutes, left_usd = quote.bill.usd, quote.completion_seconds / 60, conditions.budget_left_usd
    if left_usd is not None and usd > left_usd:
        why = f"${usd:.4f} would pass the month's budget, of which ${max(0.0, left_usd):.4f} is left"
        yield Refusal(limit=Limit.BUDGET, why=why)
    if upload.options.max_cost_usd is not None and usd > upload.options.max_cost_usd:
        why = f"${usd:.4f} is more than the ${upload.options.max_cost_usd:g} allowed for the file"
        yield Refusal(limit=Limit.MAX_COST, why=why)
    deadline = limits.deadline_minutes(upload.options)
    if deadline is not None and minutes > deadline:
        yield Refusal(limit=Limit.DEADLINE, why=f"{minutes:.1f} min is later than the {deadline:g} min allowed")
    per_hour = usd / (upload.media.duration_seconds / 3600)
    if limits.max_cost_per_audio_hour_usd is not None and per_hour > limits.max_cost_per_audio_hour_usd:
        why = f"${per_hour:.3f} an audio hour is more than the ${limits.max_cost_per_audio_hour_usd:g} allowed"
        yield Refusal(limit=Limit.COST_PER_HOUR, why=why)


def rollout_percentile(job_id: str) -> int:
    """0 to 99, the same for every event about an upload: job ids are hex digits of a hash."""
    return int(job_id[:12], 16) % 100
