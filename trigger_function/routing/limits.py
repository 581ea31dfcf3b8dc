"""Limits: what speaks against each method for one upload, under either policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shared.costs.quotes import Limit, Quote, Refusal
from shared.enums import Method
from shared.media import Media
from shared.upload_options import UploadOptions
from trigger_function.routing.engines import Engines, deepgram_obstacle


@dataclass(frozen=True)
class Limits:
    """What a deployment sets for every upload. None: no limit."""

    max_completion_minutes: float | None = None
    max_cost_per_audio_hour_usd: float | None = None
    gpu_min_monthly_files: int = 0
    gpu_rollout_percent: int = 100


@dataclass(frozen=True)
class Conditions:
    """What is so at this moment. None: not known, which limits nothing."""

    gpu_healthy: bool = True
    budget_left_usd: float | None = None
    """What the month's budget has left beside all bills and reservations."""
    month_files: int | None = None
    """Uploads of this month."""


@dataclass(frozen=True)
class Case:
    """One upload, with what its owner asked for it."""

    job_id: str
    media: Media
    options: UploadOptions


def deadline_minutes(options: UploadOptions, limits: Limits) -> float | None:
    """The upload's own deadline, else the deployment's."""
    return options.deadline_minutes or limits.max_completion_minutes


def judged(quote: Quote, case: Case, limits: Limits, engines: Engines, now: Conditions) -> Quote:
    """The quote with everything that speaks against its method."""
    refusals = [*quote.refusals]
    if quote.method is not Method.PARAKEET:
        refusals += _against_deepgram(case, engines)
    if quote.method is not Method.DEEPGRAM:
        refusals += _against_job(case, limits, engines, now)
    refusals += _against_price(quote, case, limits, now)
    return quote.model_copy(update={"refusals": tuple(refusals)})


def _against_deepgram(case: Case, engines: Engines) -> Iterator[Refusal]:
    if case.options.is_private:
        yield Refusal(limit=Limit.PRIVACY, why="the file may not leave for an API")
    if (obstacle := deepgram_obstacle(case.media, engines)) is not None:
        yield Refusal(limit=Limit.ENGINE, why=obstacle)


def _against_job(case: Case, limits: Limits, engines: Engines, now: Conditions) -> Iterator[Refusal]:
    if not (engines.gpu or engines.cpu):
        # A private file without local engine would wait for nobody.
        limit = Limit.PRIVACY if case.options.is_private else Limit.NO_JOB
        yield Refusal(limit=limit, why="no job is configured that may be used")
    elif not (engines.cpu or now.gpu_healthy):
        yield Refusal(limit=Limit.NO_JOB, why="the GPU job fails at the moment")
    if now.month_files is not None and now.month_files < limits.gpu_min_monthly_files:
        why = f"{now.month_files} files this month, the job is for {limits.gpu_min_monthly_files} and more"
        yield Refusal(limit=Limit.MONTHLY_FILES, why=why)
    if rollout_percentile(case.job_id) >= limits.gpu_rollout_percent:
        why = f"the job takes {limits.gpu_rollout_percent} % of the uploads, and this one is not among them"
        yield Refusal(limit=Limit.ROLLOUT, why=why)


def _against_price(quote: Quote, case: Case, limits: Limits, now: Conditions) -> Iterator[Refusal]:
    usd, minutes = quote.bill.usd, quote.completion_seconds / 60
    if now.budget_left_usd is not None and usd > now.budget_left_usd:
        why = f"${usd:.4f} would pass the month's budget, of which ${max(0.0, now.budget_left_usd):.4f} is left"
        yield Refusal(limit=Limit.BUDGET, why=why)
    if case.options.max_cost_usd is not None and usd > case.options.max_cost_usd:
        why = f"${usd:.4f} is more than the ${case.options.max_cost_usd:g} allowed for the file"
        yield Refusal(limit=Limit.MAX_COST, why=why)
    deadline = deadline_minutes(case.options, limits)
    if deadline is not None and minutes > deadline:
        yield Refusal(limit=Limit.DEADLINE, why=f"{minutes:.1f} min is later than the {deadline:g} min allowed")
    per_hour = usd / (case.media.duration_seconds / 3600)
    if limits.max_cost_per_audio_hour_usd is not None and per_hour > limits.max_cost_per_audio_hour_usd:
        why = f"${per_hour:.3f} an audio hour is more than the ${limits.max_cost_per_audio_hour_usd:g} allowed"
        yield Refusal(limit=Limit.COST_PER_HOUR, why=why)


def rollout_percentile(job_id: str) -> int:
    """0 to 99, the same for every event about an upload: job ids are hex digits of a hash."""
    return int(job_id[:12], 16) % 100
