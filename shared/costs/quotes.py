"""Quotes: what each method would cost and take for one upload, predicted in line items. Pure.

Parakeet pays for the start-up of an execution only where none runs, and shares it with the audio that waits for the
same one. Decoding and transcribing run side by side, so the slower of them sets the pace. Hybrid gives a share of the
audio, from the back, to Deepgram.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.costs.bill import Bill, deepgram_bill, egress_bill, instance_bill, total
from shared.costs.prices import JobShape, PriceBook
from shared.costs.speeds import Speeds
from shared.enums import Method
from shared.media import Media


class Limit(StrEnum):
    """What a method can be refused for."""

    ENGINE = "engine"
    PRIVACY = "privacy"
    BUDGET = "budget"
    MAX_COST = "max_cost"
    DEADLINE = "deadline"
    COST_PER_HOUR = "cost_per_hour"
    NO_JOB = "no_job"
    MONTHLY_FILES = "monthly_files"
    ROLLOUT = "rollout"
    NEEDLESS = "needless"


BINDING = frozenset({Limit.ENGINE, Limit.PRIVACY, Limit.BUDGET, Limit.MAX_COST})
"""Limits that hold even where no method is left. The others are preferences: the least bad method breaks them."""


class Refusal(BaseModel):
    """Why a method is not to be used: part of a sentence."""

    model_config = ConfigDict(frozen=True)

    limit: Limit
    why: str


class Quote(BaseModel):
    """One method's predicted cost and time, and what speaks against it."""

    model_config = ConfigDict(frozen=True)

    method: Method
    bill: Bill
    completion_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """From now to the transcript."""
    deepgram_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the audio that Deepgram would take."""
    refusals: tuple[Refusal, ...] = ()

    @property
    def binding(self) -> tuple[Refusal, ...]:
        """The refusals that forbid the method."""
        return tuple(refusal for refusal in self.refusals if refusal.limit in BINDING)

    def score(self, usd_per_minute: float) -> float:
        """Dollars, with a minute of waiting worth `usd_per_minute`."""
        return self.bill.usd + self.completion_seconds / 60 * usd_per_minute


@dataclass(frozen=True)
class Queue:
    """The work of the job when an upload arrives."""

    running: bool = False
    """Whether an execution runs or was launched: then its start-up is paid for."""
    waiting_seconds: float = 0.0
    """Audio that is transcribed before this upload's."""
    starting_seconds: float = 0.0
    """What is left of a running execution's start-up."""


@dataclass(frozen=True)
class PricingContext:
    """What quotes are made from: prices, hardware and speeds of one deployment."""

    book: PriceBook
    shape: JobShape
    speeds: Speeds
    deepgram_model: str
    idle_seconds: float
    """How long an execution looks for more work before it ends, billed like the rest."""


@dataclass(frozen=True)
class TranscriptionRequest:
    """What is to be transcribed."""

    media: Media
    streams: int = 1
    """Channels that are heard apart: each is a recording of its own, to every engine."""
    deadline_seconds: float | None = None

    @property
    def audio_seconds(self) -> float:
        """Audio that engines hear and bill."""
        return self.media.duration_seconds * self.streams


def quotes_for(order: TranscriptionRequest, tariff: PricingContext, queue: Queue) -> tuple[Quote, ...]:
    """A quote for every method. Raises UnknownPrice or UnknownDevice: what is not known costs no $0."""
    parakeet, deepgram = _parakeet(order, tariff, queue, 1.0), _deepgram(order, tariff, 1.0)
    return (parakeet, _hybrid(order, tariff, queue), deepgram)


def _parakeet(order: TranscriptionRequest, tariff: PricingContext, queue: Queue, share: float) -> Quote:
    """Parakeet alone, on the first `share` of the audio."""
    busy = share * _parakeet_seconds(order, tariff)
    bill = total(
        instance_bill(tariff.shape, seconds, tariff.book, phase)
        for phase, seconds in [*_overhead(order, tariff, queue), ("transcription", busy)]
    )
    seconds = _begins_after(tariff, queue) + busy
    return Quote(method=Method.PARAKEET, bill=bill, completion_seconds=seconds)


def _overhead(order: TranscriptionRequest, tariff: PricingContext, queue: Queue) -> Iterator[tuple[str, float]]:
    """An execution's time that is nobody's, this upload's part of it; a running one is paid for by others."""
    if not queue.running:
        part = order.audio_seconds / (order.audio_seconds + queue.waiting_seconds)
        yield "start-up", part * tariff.speeds.of(tariff.shape.device).startup_seconds
        yield "waiting", part * tariff.idle_seconds


def _begins_after(tariff: PricingContext, queue: Queue) -> float:
    """Seconds until the job turns to this upload."""
    speed = tariff.speeds.of(tariff.shape.device)
    start = queue.starting_seconds if queue.running else speed.startup_seconds
    return start + queue.waiting_seconds / speed.x_real_time


def _parakeet_seconds(order: TranscriptionRequest, tariff: PricingContext) -> float:
    speed = tariff.speeds.of(tariff.shape.device).x_real_time
    return max(order.audio_seconds / speed, order.media.duration_seconds / tariff.speeds.decode_x_real_time)


def _deepgram(order: TranscriptionRequest, tariff: PricingContext, share: float) -> Quote:
    """Deepgram alone, on the last `share` of the audio."""
    heard = share * order.audio_seconds
    bill = deepgram_bill(tariff.deepgram_model, heard, tariff.book)
    bill += egress_bill(share * order.media.size_bytes, tariff.book)
    seconds = heard / tariff.speeds.deepgram_x_real_time
    return Quote(method=Method.DEEPGRAM, bill=bill, completion_seconds=seconds, deepgram_share=share)


def _hybrid(order: TranscriptionRequest, tariff: PricingContext, queue: Queue) -> Quote:
    """Both at once, each on its part; the job asks Deepgram when it turns to the upload."""
    begins = _begins_after(tariff, queue)
    gpu_seconds = _parakeet_seconds(order, tariff)
    api_seconds = order.audio_seconds / tariff.speeds.deepgram_x_real_time
    spare = None if order.deadline_seconds is None else order.deadline_seconds - begins
    # Without start-up: both parts of a hybrid begin with it.
    gpu_usd = instance_bill(tariff.shape, gpu_seconds, tariff.book, "transcription").usd
    share = split(gpu_seconds, api_seconds, spare, gpu_usd <= _deepgram(order, tariff, 1.0).bill.usd)
    first, rest = _parakeet(order, tariff, queue, 1 - share), _deepgram(order, tariff, share)
    refusals: tuple[Refusal, ...] = ()
    if spare is not None and gpu_seconds <= spare:
        refusals = (Refusal(limit=Limit.NEEDLESS, why="Parakeet alone is in time"),)
    return Quote(
        method=Method.HYBRID,
        bill=first.bill + rest.bill,
        completion_seconds=begins + max((1 - share) * gpu_seconds, share * api_seconds),
        deepgram_share=share,
        refusals=refusals,
    )


def split(parakeet_seconds: float, deepgram_seconds: float, spare: float | None, parakeet_is_cheaper: bool) -> float:
    """The share of the audio for Deepgram that is ready within `spare` seconds at least cost.

    Each engine's seconds are those for the whole audio. Without a deadline, or where none can be met, the share with
    which both end together.
    """
    together = parakeet_seconds / (parakeet_seconds + deepgram_seconds)
    if spare is None or spare < together * deepgram_seconds:
        return together
    if parakeet_is_cheaper:
        return max(0.0, 1 - spare / parakeet_seconds)
    return min(1.0, spare / deepgram_seconds)
