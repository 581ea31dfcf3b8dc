"""Uploads, quotes and policies for tests of routing."""

from __future__ import annotations

from collections.abc import Sequence

from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.prices import price_book
from shared.costs.quotes import PricingContext, Queue, Quote, TranscriptionRequest, quotes_for
from shared.enums import Method
from shared.media import Media
from shared.messages import Decision
from shared.settings import SpeedSettings
from shared.upload_options import Channels, UploadOptions
from trigger_function.routing.engines import Engines
from trigger_function.routing.limits import Case, Conditions, Limits, deadline_minutes
from trigger_function.routing.router import Policy, route
from trigger_function.settings import FunctionSettings

MB = 1_000_000
DEEPGRAM_MAX = 2_000 * MB
JOB_ID = "0" * 24
ALL = Engines(gpu=True, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
NO_GPU = Engines(gpu=False, deepgram=True, deepgram_max_bytes=DEEPGRAM_MAX)
NO_DEEPGRAM = Engines(gpu=True, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX)
NEITHER = Engines(gpu=False, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX)
STRICT = Engines(gpu=True, deepgram=False, deepgram_max_bytes=DEEPGRAM_MAX, fallback=False)
TABLE = Policy(cost_optimization=False)
COST = Policy()
NOW = Conditions()

SETTINGS = FunctionSettings.model_construct()
TARIFF = PricingContext(
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


def quotes(
    what: Media, options: UploadOptions, limits: Limits, queue: Queue, tariff: PricingContext = TARIFF
) -> tuple[Quote, ...]:
    """The quotes that the function would make."""
    deadline = deadline_minutes(options, limits)
    order = TranscriptionRequest(
        what,
        streams=what.channels if options.channels is Channels.SPLIT else 1,
        deadline_seconds=None if deadline is None else deadline * 60,
    )
    return quotes_for(order, tariff, queue)


def routed(
    what: Media,
    policy: Policy = COST,
    engines: Engines = ALL,
    options: UploadOptions | None = None,
    now: Conditions = NOW,
    queue: Queue | None = None,
    job_id: str = JOB_ID,
) -> Decision:
    """What is decided for a recording at the shipped prices."""
    asked = options or UploadOptions()
    made = quotes(what, asked, policy.limits, queue or Queue())
    return route(Case(job_id, what, asked), made, policy, engines, now)


def quote(method: Method, usd: float, minutes: float) -> Quote:
    """A quote of so many dollars and minutes."""
    line = LineItem(kind=LineItemKind.GPU, resource="work", quantity=1, unit="job", usd_per_unit=usd)
    return Quote(method=method, bill=Bill(items=(line,)), completion_seconds=minutes * 60)


def chosen(
    quotes: Sequence[Quote], policy: Policy = COST, now: Conditions = NOW, options: UploadOptions | None = None
) -> Method:
    """The method that is taken of given quotes, for an hour of audio."""
    return route(Case(JOB_ID, media(3600), options or UploadOptions()), quotes, policy, ALL, now).method
