"""Quotes made: what each method would cost and take for one upload, predicted in line items. Pure.

There are four of them: Parakeet on the GPU job and on the CPU job, hybrid, Deepgram.
Parakeet pays for the start-up of an execution only where none runs, and shares it with the audio that waits for the
same one. Decoding and transcribing run side by side, so the slower of them sets the pace. Hybrid gives a share of the
audio, from the back, to Deepgram.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from shared.costs.bill import Bill, LineItem, LineItemKind, Phase, deepgram_bill, instance_bill
from shared.costs.gathering import Queue, gather_seconds
from shared.costs.job_seconds import (
    PricingContext,
    TranscriptionRequest,
    hearing_whole_seconds,
    overhead_seconds,
    parakeet_seconds,
    queue_seconds,
    queued_seconds,
    redacting_seconds,
    speakers_seconds,
    start_delay_seconds,
    transcribing_seconds,
)
from shared.costs.launch_plan import Backlog, RunningExecutions, executions_to_launch
from shared.costs.quote import IF_INCOMPLETE, Limit, Quote, Refusal
from shared.costs.shard_plan import plan_shards
from shared.enums import Method

BYTES_PER_SECOND_SENT = 32_000
"""Of audio that a job sends to Deepgram: WAV, 16 kHz, 16 bits."""

ASSEMBLED_X_REAL_TIME = 6_500.0
"""How fast the words of a divided upload are put together and its results rendered, each on one core: 13 CPU s a day of
150 words a minute (docs/benchmarks.md)."""


def quotes_for(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> tuple[Quote, ...]:
    """A quote for every method, with one job. Raises UnknownPrice or UnknownDevice: what is not known costs no $0."""
    deepgram = _deepgram(request, pricing, 1.0)
    if request.job_may_complete:
        deepgram = _with_completion(deepgram, _own_quote(request, pricing, queue).bill)
    hybrid = _with_second_opinion(_hybrid(request, pricing, queue), request, pricing)
    return (parakeet_quote(request, pricing, queue), _completed_by_deepgram(hybrid, request, pricing), deepgram)


def parakeet_quote(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> Quote:
    """Parakeet alone, on the job that `pricing` has, after a wait for company where there may be one.

    Raises UnknownPrice or UnknownDevice.
    """
    quote = _with_second_opinion(_own_quote(request, pricing, queue), request, pricing)
    return _completed_by_deepgram(quote, request, pricing)


def _completed_by_deepgram(quote: Quote, request: TranscriptionRequest, pricing: PricingContext) -> Quote:
    """With the most that Deepgram costs where words are missing: all of the audio that it has not got anyway, as the
    job sends it, or as a file."""
    if not request.deepgram_may_complete:
        return quote
    share = 1 - quote.deepgram_share
    return _with_completion(
        quote,
        deepgram_bill(
            pricing.deepgram_model,
            share * request.audio_seconds,
            share * max(request.media.size_bytes, request.audio_seconds * BYTES_PER_SECOND_SENT),
            pricing.book,
            speakers=request.speakers,
            keyterms=request.keyterms,
            redaction=request.deepgram_redacts,
            multilingual=request.deepgram_multilingual,
        ),
    )


def _with_completion(quote: Quote, most: Bill) -> Quote:
    items = (item.model_copy(update={"resource": f"{item.resource}{IF_INCOMPLETE}"}) for item in most.items)
    return quote.model_copy(update={"bill": quote.bill + Bill(items=tuple(items)), "only_if_incomplete_usd": most.usd})


def _with_second_opinion(quote: Quote, request: TranscriptionRequest, pricing: PricingContext) -> Quote:
    """With the most that a second opinion may cost, so that no limit is passed by it."""
    if not request.second_opinion_usd:
        return quote
    multilingual = request.deepgram_multilingual
    minute_usd = pricing.book.deepgram_minute_usd(pricing.deepgram_model, multilingual=multilingual)
    line = LineItem(
        kind=LineItemKind.DEEPGRAM,
        resource=f"deepgram {pricing.deepgram_model} (second opinion, at most)",
        quantity=request.second_opinion_usd / minute_usd if minute_usd else 0.0,
        unit="min",
        usd_per_unit=minute_usd,
    )
    return quote.model_copy(update={"bill": quote.bill + Bill(items=(line,))})


def _own_quote(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> Quote:
    at_once = _parakeet(request, pricing, replace(queue, company_seconds=0.0), 1.0)
    spare = None if request.deadline_seconds is None else request.deadline_seconds - at_once.completion_seconds
    wait = gather_seconds(pricing.gather, queue, queued_seconds(request, pricing), spare)
    if wait <= 0:
        return at_once
    if at_once.shards:
        return at_once  # it has its executions to itself
    shared = _parakeet(request, pricing, queue, 1.0)
    return shared.model_copy(update={"completion_seconds": shared.completion_seconds + wait, "gather_seconds": wait})


def _parakeet(request: TranscriptionRequest, pricing: PricingContext, queue: Queue, share: float) -> Quote:
    """Parakeet alone, on the first `share` of the audio."""
    if share == 1.0 and (divided := _divided(request, pricing, queue)) is not None:
        return divided
    transcribing = share * transcribing_seconds(request, pricing)
    # Whose voice it is, is heard of all of the audio, and before a redacted recording is made.
    for_speakers = max(0.0, speakers_seconds(request, pricing) - transcribing)
    busy = share * parakeet_seconds(request, pricing)
    seconds = {**overhead_seconds(request, pricing, queue), Phase.TRANSCRIPTION: busy}
    before = start_delay_seconds(pricing, queue) + pricing.trial.seconds(request.audio_seconds)
    return Quote(
        method=Method.PARAKEET,
        bill=_instance_bill(pricing, seconds, for_speakers, pricing.trial.lines(request.audio_seconds)),
        completion_seconds=before + busy + for_speakers,
        device=pricing.shape.job_device,
        queue_seconds=queue_seconds(pricing, queue),
    )


def _divided(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> Quote | None:
    """Parakeet in shards, as `plan_shards` divides the upload; None where it is one piece.

    Each execution does its part of the shards, one after the other, and hears who speaks in them; then one puts the
    transcript together, for which nobody else works: it renders the results, and makes the redacted recording. A
    speaker model that needs the whole recording hears it there, decoded once more.
    """
    media = request.media
    most = pricing.launches.max_executions
    shards = plan_shards(media.duration_seconds, request.streams, most, pricing.shards) if most > 1 else ()
    if not shards:
        return None
    in_shards = request.speakers and not request.speakers_need_the_whole
    for_whom = media.duration_seconds if in_shards else 0.0
    backlog = Backlog(len(shards), request.audio_seconds, request.deadline_seconds, for_whom)
    speed = pricing.speeds.of(pricing.shape.device)
    at_once = executions_to_launch(backlog, RunningExecutions(), speed, pricing.launches, most)
    rounds = math.ceil(len(shards) / at_once)
    longest = max(shard.seconds_of(media.duration_seconds) for shard in shards) / media.duration_seconds
    transcribing = transcribing_seconds(request, pricing)
    behind_batches = max(0.0, speakers_seconds(request, pricing) - transcribing) if in_shards else 0.0
    busy = transcribing + behind_batches
    hearing_whole = hearing_whole_seconds(request, pricing)
    assembling = media.duration_seconds / ASSEMBLED_X_REAL_TIME + redacting_seconds(request, pricing)
    seconds = {Phase.TRANSCRIPTION: transcribing + assembling}
    starting = at_once - (1 if queue.running else 0)  # some run by then, or are started for it
    if starting:
        seconds |= {Phase.START_UP: starting * speed.startup_seconds, Phase.WAITING: starting * pricing.idle_seconds}
    return Quote(
        method=Method.PARAKEET,
        # Shards have no trial: of one nobody knows whether it is like the rest.
        bill=_instance_bill(pricing, seconds, behind_batches + hearing_whole),
        completion_seconds=(
            start_delay_seconds(pricing, queue) + min(1.0, rounds * longest) * busy + assembling + hearing_whole
        ),
        device=pricing.shape.job_device,
        queue_seconds=queue_seconds(pricing, queue),
        shards=len(shards),
        executions=at_once,
    )


def _instance_bill(
    pricing: PricingContext,
    seconds: Mapping[Phase, float],
    for_speakers: float,
    trial: Iterable[tuple[str, float]] = (),
) -> Bill:
    """`for_speakers`: seconds in which speakers are still told apart, behind the last batch. `trial`: of other models,
    before the rest."""
    waiting = seconds.get(Phase.WAITING, 0.0) + for_speakers
    return instance_bill(
        pricing.shape,
        {**seconds, Phase.WAITING: waiting},
        pricing.book,
        speakers_seconds=for_speakers,
        trial_seconds=trial,
    )


def _deepgram(request: TranscriptionRequest, pricing: PricingContext, share: float) -> Quote:
    """Deepgram alone, on the last `share` of the audio."""
    audio_seconds, sent_bytes = share * request.audio_seconds, share * request.media.size_bytes
    # Of parts of a recording, the job tells the speakers apart.
    speakers, redaction = request.speakers and share == 1.0, request.deepgram_redacts and share == 1.0
    return Quote(
        method=Method.DEEPGRAM,
        bill=deepgram_bill(
            pricing.deepgram_model,
            audio_seconds,
            sent_bytes,
            pricing.book,
            speakers=speakers,
            keyterms=request.keyterms,
            redaction=redaction,
            multilingual=request.deepgram_multilingual,
        ),
        completion_seconds=audio_seconds / pricing.speeds.deepgram_x_real_time,
        deepgram_share=share,
    )


def _hybrid(request: TranscriptionRequest, pricing: PricingContext, queue: Queue) -> Quote:
    """Both at once, each on its part; the job asks Deepgram when it turns to the upload."""
    # Where a deadline needs both, nothing waits for company.
    queue = replace(queue, company_seconds=0.0)
    # What is cut waits for the end of a trial, Deepgram's part, too.
    start_delay = start_delay_seconds(pricing, queue) + pricing.trial.seconds(request.audio_seconds)
    job_seconds, for_speakers = parakeet_seconds(request, pricing), speakers_seconds(request, pricing)
    api_seconds = request.audio_seconds / pricing.speeds.deepgram_x_real_time
    available = None if request.deadline_seconds is None else request.deadline_seconds - start_delay
    # Without start-up: both parts of a hybrid begin with it.
    job_usd = instance_bill(pricing.shape, {Phase.TRANSCRIPTION: job_seconds}, pricing.book).usd
    parakeet_is_cheaper = job_usd <= _deepgram(request, pricing, 1.0).bill.usd
    share = deepgram_share(job_seconds, api_seconds, available, parakeet_is_cheaper)
    first, rest = _parakeet(request, pricing, queue, 1 - share), _deepgram(request, pricing, share)
    refusals: tuple[Refusal, ...] = ()
    if available is not None and max(job_seconds, for_speakers) <= available:
        refusals = (Refusal(limit=Limit.NEEDLESS, why="Parakeet alone is in time"),)
    return Quote(
        method=Method.HYBRID,
        bill=first.bill + rest.bill,
        completion_seconds=start_delay + max((1 - share) * job_seconds, share * api_seconds, for_speakers),
        device=pricing.shape.job_device,
        deepgram_share=share,
        queue_seconds=queue_seconds(pricing, queue),
        refusals=refusals,
    )


def deepgram_share(
    parakeet_seconds: float, deepgram_seconds: float, available_seconds: float | None, parakeet_is_cheaper: bool
) -> float:
    """The share of the audio for Deepgram that is ready within `available_seconds` at least cost.

    Each engine's seconds are those for the whole audio. Without a deadline, or where none can be met, the share with
    which both end together.
    """
    together = parakeet_seconds / (parakeet_seconds + deepgram_seconds)
    if available_seconds is None or available_seconds < together * deepgram_seconds:
        return together
    if parakeet_is_cheaper:
        return max(0.0, 1 - available_seconds / parakeet_seconds)
    return min(1.0, available_seconds / deepgram_seconds)
