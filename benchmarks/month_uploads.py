"""A month of uploads for the simulation: a named mixture of lengths, arriving as people and systems drop files."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.media import Media, Upload

UPLOADS, DAYS, SEED = 10_000, 30, 20261101
_DAY, _HOUR = 86_400.0, 3_600.0

_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 13, 15, 17, 17, 15, 11, 8, 6, 5, 4, 3, 2)
"""Weights of the hours of a working day."""
_WEEKEND = 0.35
"""Of a working day's uploads."""


@dataclass(frozen=True)
class Kind:
    """One sort of upload. Lengths are log-normal around the median, cut to shortest and longest."""

    name: str
    share: float
    median_seconds: float
    spread: float
    """Standard deviation of the length's logarithm."""
    shortest_seconds: float
    longest_seconds: float
    kilobits: float
    """Of a second of the file."""
    exported: float = 0.0
    """Share that a system drops on the full hour, many at once."""


KINDS = (
    Kind("voice messages", 0.45, 35, 0.9, 3, 600, 24),
    Kind("calls", 0.35, 480, 0.8, 20, 7_200, 32, exported=0.6),
    Kind("podcasts", 0.15, 2_700, 0.45, 600, 10_800, 128),
    Kind("streams", 0.05, 12_600, 0.4, 3_600, 36_000, 128),
)


@dataclass(frozen=True)
class Arrival:
    """One upload of the month."""

    at: float
    """Seconds since the month began."""
    upload: Upload
    media: Media
    kind: str


def month(seed: int = SEED, count: int = UPLOADS, kinds: Sequence[Kind] = KINDS) -> list[Arrival]:
    """The month's uploads in the order in which they arrive; the same for the same seed."""
    dice = random.Random(seed)
    drawn = dice.choices(kinds, [kind.share for kind in kinds], k=count)
    timed = sorted(((_time(dice, kind), kind) for kind in drawn), key=lambda one: one[0])
    return [_arrival(dice, number, at, kind) for number, (at, kind) in enumerate(timed, start=1)]


def burst_of(hours: float, seconds: float = 60.0, seed: int = SEED) -> list[Arrival]:
    """Uploads of the same mixture, so many hours of audio, dropped one after the other within `seconds`."""
    chosen: list[Arrival] = []
    left_seconds = hours * _HOUR
    for arrival in month(seed):
        if left_seconds <= 0:
            break
        chosen.append(arrival)
        left_seconds -= arrival.media.duration_seconds
    return [replace(one, at=seconds * place / len(chosen)) for place, one in enumerate(chosen)]


def working_day(uploads_a_month: int, seed: int = SEED, kinds: Sequence[Kind] = KINDS) -> list[Arrival]:
    """Uploads of a working day of a month with so many of them, from midnight on."""
    dice = random.Random(seed)
    drawn = dice.choices(kinds, [kind.share for kind in kinds], k=round(uploads_a_month / sum(_DAY_WEIGHTS)))
    timed = sorted(((_time_of_day(dice, kind), kind) for kind in drawn), key=lambda one: one[0])
    return [_arrival(dice, number, at, kind) for number, (at, kind) in enumerate(timed, start=1)]


# 1 November 2026 is a Sunday.
_DAY_WEIGHTS = [_WEEKEND if day % 7 in {0, 6} else 1.0 for day in range(DAYS)]


def _time(dice: random.Random, kind: Kind) -> float:
    (day,) = dice.choices(range(DAYS), _DAY_WEIGHTS)
    return day * _DAY + _time_of_day(dice, kind)


def _time_of_day(dice: random.Random, kind: Kind) -> float:
    (hour,) = dice.choices(range(24), _HOURS)
    begin = hour * _HOUR
    # An export takes some seconds a file.
    return begin + (dice.uniform(0, 60) if dice.random() < kind.exported else dice.uniform(0, _HOUR))


def _arrival(dice: random.Random, number: int, at: float, kind: Kind) -> Arrival:
    length = kind.median_seconds * math.exp(dice.gauss(0, kind.spread))
    length = min(max(length, kind.shortest_seconds), kind.longest_seconds)
    media = Media(
        container="mp3",
        codec="mp3",
        duration_seconds=length,
        sample_rate_hz=16_000,
        channels=1,
        size_bytes=max(1, round(length * kind.kilobits * 125)),
    )
    return Arrival(at, Upload(bucket="uploads", name=f"{kind.name}/{number}", generation=number), media, kind.name)
