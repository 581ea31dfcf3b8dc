"""Deciding: a deployment's settings, prices and speeds -> quotes and a decision for one upload. Pure."""

from __future__ import annotations

from shared.costs.prices import JobShape, PriceBook
from shared.costs.quotes import PricingContext, Queue, Quote, TranscriptionRequest, quotes_for
from shared.costs.speeds import Speeds
from shared.messages import Decision
from trigger_function.routing.decision_table import Thresholds
from trigger_function.routing.engines import engines_of
from trigger_function.routing.limits import Case, Conditions, Limits, deadline_minutes
from trigger_function.routing.router import Policy, route
from trigger_function.settings import FunctionSettings


def decide(
    case: Case, settings: FunctionSettings, prices: PriceBook, speeds: Speeds, now: Conditions, queue: Queue
) -> Decision:
    """What this deployment decides for an upload at this moment. Raises Rejected, UnknownPrice or UnknownDevice."""
    quotes = quotes_of(case, settings, prices, speeds, now, queue)
    return route(case, quotes, policy_of(settings), engines_of(settings), now)


def quotes_of(
    case: Case, settings: FunctionSettings, prices: PriceBook, speeds: Speeds, now: Conditions, queue: Queue
) -> tuple[Quote, ...]:
    """Every method's quote at this deployment. Raises UnknownPrice or UnknownDevice."""
    tariff = PricingContext(prices, _shape(settings, now), speeds, settings.deepgram_model, settings.work_idle_seconds)
    return quotes_for(order_of(case, settings), tariff, queue)


def order_of(case: Case, settings: FunctionSettings) -> TranscriptionRequest:
    """What an upload asks of the engines at this deployment."""
    deadline = deadline_minutes(case.options, policy_of(settings).limits)
    return TranscriptionRequest(
        case.media,
        streams=case.options.streams(case.media),
        deadline_seconds=None if deadline is None else deadline * 60,
    )


def policy_of(settings: FunctionSettings) -> Policy:
    """The policy as this deployment sets it."""
    return Policy(
        method=None if settings.transcription_method == "auto" else settings.transcription_method,
        cost_optimization=settings.cost_optimization,
        usd_per_minute=settings.time_value_usd_per_minute,
        thresholds=Thresholds(
            parakeet_max_minutes=settings.parakeet_max_minutes,
            parakeet_max_mb=settings.parakeet_max_mb,
            short_hours=settings.short_file_threshold_hours,
            long_hours=settings.long_file_threshold_hours,
            deepgram_min_mb=settings.deepgram_min_mb,
        ),
        limits=Limits(
            max_completion_minutes=settings.max_completion_minutes,
            max_cost_per_audio_hour_usd=settings.max_cost_per_audio_hour_usd,
            gpu_min_monthly_files=settings.gpu_min_monthly_files,
            gpu_rollout_percent=settings.gpu_rollout_percent,
        ),
    )


def _shape(settings: FunctionSettings, now: Conditions) -> JobShape:
    """The instances that would do the work: the GPU job's, or the other job's where no GPU can be had."""
    if settings.cpu_job is None or (settings.enable_gpu_transcription and now.gpu_healthy):
        return settings.shape
    return JobShape(gpu=None, vcpu=settings.cpu_job_vcpu, memory_gib=settings.cpu_job_memory_gib)
