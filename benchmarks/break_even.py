"""From which length on the GPU is cheaper than Deepgram, from the quotes that decide; drawn for docs/costs.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.line_plot import Axis, line_plot
from benchmarks.month import settings_of
from benchmarks.report import Measurement
from shared.costs.gathering import Queue
from shared.costs.job_seconds import PricingContext, TranscriptionRequest
from shared.costs.prices import price_book
from shared.costs.quote import Quote
from shared.costs.quotes import quotes_for
from shared.enums import Method
from shared.media import Media

PLOT = Path("docs/costs-break-even.svg")
COMPANY = 10
"""Uploads of one length that share an execution."""
_SECONDS = [10 * 1.05**step for step in range(150)]
"""10 s to 4 h, in steps of 5 %."""
_KILOBITS = 64
"""Of a second of the file: what leaves for Deepgram then costs a third of a cent an hour of audio."""

_X = Axis("length of the upload", 10, 14_400, {10: "10 s", 60: "1 min", 600: "10 min", 3_600: "1 h", 14_400: "4 h"})
_Y = Axis("dollars an hour of audio", 0.005, 5, {0.01: "$0.01", 0.1: "$0.10", 1: "$1", 5: "$5"})


def break_even() -> Iterator[Measurement]:
    """The lengths at which Parakeet's cost meets Deepgram's, alone and in company; writes the plot."""
    alone, company, running = Queue(), None, Queue(running=True)
    PLOT.write_text(
        line_plot(
            "What an hour of audio costs, by the length of the upload",
            _X,
            _Y,
            {
                "Deepgram": [(length, _hourly(length, Method.DEEPGRAM, alone)) for length in _SECONDS],
                "Parakeet, alone": [(length, _hourly(length, Method.PARAKEET, alone)) for length in _SECONDS],
                f"Parakeet, {COMPANY} together": [
                    (length, _hourly(length, Method.PARAKEET, company)) for length in _SECONDS
                ],
                "Parakeet, already running": [
                    (length, _hourly(length, Method.PARAKEET, running)) for length in _SECONDS
                ],
            },
        )
    )
    for name, queue in (("alone", alone), (f"{COMPANY} together", company), ("execution runs", running)):
        yield Measurement(f"break-even with Deepgram: {name}", _meets(queue), "s", f"drawn in {PLOT}", "-", None)


def _hourly(seconds: float, method: Method, queue: Queue | None) -> float:
    """Dollars an hour of audio. `queue` None: COMPANY uploads of this length start one execution together."""
    quote = _quote(seconds, method, queue or Queue(waiting_seconds=(COMPANY - 1) * seconds))
    return quote.bill.usd / seconds * 3600


def _meets(queue: Queue | None) -> float:
    """The shortest length at which Parakeet is not dearer; 0 where it never is."""
    dearer = [
        length
        for length in _SECONDS
        if _hourly(length, Method.PARAKEET, queue) > _hourly(length, Method.DEEPGRAM, queue)
    ]
    return dearer[-1] if dearer else 0.0


def _quote(seconds: float, method: Method, queue: Queue) -> Quote:
    settings = settings_of({})
    speeds = settings.initial_speeds(settings.shape.gpu)
    pricing = PricingContext(price_book(), settings.shape, speeds, settings.deepgram_model, settings.work_idle_seconds)
    media = Media(
        container="mp3",
        codec="mp3",
        duration_seconds=seconds,
        sample_rate_hz=16_000,
        channels=1,
        size_bytes=round(seconds * _KILOBITS * 125),
    )
    return next(quote for quote in quotes_for(TranscriptionRequest(media), pricing, queue) if quote.method is method)
