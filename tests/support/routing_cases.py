"""Uploads, quotes and policies for tests of routing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.job_seconds import PricingContext
from shared.costs.prices import JobShape, PriceBook, price_book
from shared.costs.quote import Quote
from shared.enums import Method
from shared.formats.tracks import AudioTrack
from shared.media import Media
from shared.messages import Decision
from shared.options.model import UploadOptions
from shared.settings.speeds import SpeedSettings
from trigger_function.routing.engines import Engines
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Policy, Router
from trigger_function.settings.function import FunctionSettings

MB = 1_000_000
DEEPGRAM_MAX = 2_000 * MB
JOB_ID = "0" * 24
ALL = Engines(gpu=True, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
NO_GPU = Engines(gpu=False, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
BOTH_JOBS = Engines(gpu=True, cpu=True, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
CPU_AND_DEEPGRAM = Engines(gpu=False, cpu=True, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
CPU_ALONE = Engines(gpu=False, cpu=True, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX)
NO_DEEPGRAM = Engines(gpu=True, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX)
NEITHER = Engines(gpu=False, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX)
STRICT = Engines(gpu=True, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX, fallback=False)
TABLE = Policy(cost_optimization=False)
COST = Policy()
CPU_SHAPE = JobShape(gpu=None, vcpu=4, memory_gib=8)
SETTINGS = FunctionSettings.model_construct()
PRICING = PricingContext(
    price_book(), SETTINGS.shape, SpeedSettings().initial_speeds("nvidia-l4"), "nova-3", idle_seconds=5.0
)
"""The shipped prices and starting values, whatever the environment says."""


def media(seconds: float, size: float = MB, channels: int = 1) -> Media:
    """A recording of so many seconds and bytes."""
    return Media(
        container="mp3",
        codec="mp3",
        duration_seconds=seconds,
        sample_rate_hz=16000,
        channels=channels,
        size_bytes=int(size),
    )


def film(track: int, *, mixed: bool = False) -> Media:
    """A recording of half a minute with two audio tracks, of which the one with this number is wanted, or both."""
    tracks = tuple(AudioTrack(number=number, index=number, codec="aac") for number in (1, 2))
    return media(30).model_copy(update={"tracks": tracks, "track": track, "mixes_tracks": mixed})


def make_conditions(**changes: Any) -> Conditions:
    """The conditions of an idle deployment at its starting values, but for `changes`."""
    return Conditions(PRICING.speeds, **changes)


def router(
    policy: Policy = COST,
    engines: Engines = ALL,
    *,
    prices: PriceBook = PRICING.book,
) -> Router:
    """A router at the shipped prices."""
    return Router(policy, engines, prices, SETTINGS.shape, CPU_SHAPE, PRICING.deepgram_model, PRICING.idle_seconds)


def upload(what: Media, options: UploadOptions | None = None, job_id: str = JOB_ID) -> UploadFacts:
    """An upload of that recording."""
    return UploadFacts(job_id, what, options or UploadOptions())


def routed(
    what: Media,
    policy: Policy = COST,
    engines: Engines = ALL,
    options: UploadOptions | None = None,
    conditions: Conditions | None = None,
    job_id: str = JOB_ID,
) -> Decision:
    """What is decided for a recording at the shipped prices."""
    return router(policy, engines).decide(upload(what, options, job_id), conditions or make_conditions())


def quote(method: Method, usd: float, minutes: float) -> Quote:
    """A quote of so many dollars and minutes."""
    line = LineItem(kind=LineItemKind.GPU, resource="work", quantity=1, unit="job", usd_per_unit=usd)
    return Quote(method=method, bill=Bill(items=(line,)), completion_seconds=minutes * 60)


def chosen(
    quotes: Sequence[Quote],
    policy: Policy = COST,
    conditions: Conditions | None = None,
    options: UploadOptions | None = None,
) -> Decision:
    """What is decided by given quotes, for an hour of audio."""
    return router(policy).choose(upload(media(3600), options), conditions or make_conditions(), quotes)
