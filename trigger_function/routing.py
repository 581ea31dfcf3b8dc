"""Routing: what an upload is -> which method transcribes it, and why. Pure.

| upload                                        | method                                          |
|-----------------------------------------------|-------------------------------------------------|
| its own metadata or TRANSCRIPTION_METHOD      | that method                                     |
| > 4 h or > 400 MB                             | Deepgram                                        |
| 2 h to 4 h                                    | hybrid                                          |
| 30 min to 2 h, or > 50 MB                     | Parakeet, or Deepgram when no GPU can be had    |
| < 30 min and < 50 MB                          | Parakeet, with or without GPU                   |

A method whose engine is not there (no API key, upload too large for Deepgram, no GPU) yields to the next engine, and
the reason says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from shared.failures import Rejected
from shared.messages import Decision
from shared.upload import Media
from shared.vocabulary import Method
from trigger_function.settings import FunctionSettings

MB = 1_000_000


@dataclass(frozen=True)
class Thresholds:
    """The table's borders. Sizes in MB of 10^6 bytes."""

    parakeet_max_minutes: float = 30.0
    parakeet_max_mb: float = 50.0
    short_hours: float = 2.0
    long_hours: float = 4.0
    deepgram_min_mb: float = 400.0


@dataclass(frozen=True)
class Engines:
    """Which engines can be had now."""

    gpu: bool
    deepgram: bool
    deepgram_max_bytes: int
    fallback: bool = True
    """Whether a method may yield to another engine."""


def route(media: Media, wish: Method | None, thresholds: Thresholds, engines: Engines) -> Decision:
    """The method for an upload. `wish` is its own metadata or the deployment's fixed method.

    Raises Rejected where fallback is off and the chosen method's engine is not there.
    """
    chosen = _wished(wish) if wish else _by_table(media, thresholds, engines)
    return _with_engines(chosen, media, engines)


def _wished(wish: Method) -> Decision:
    return Decision(method=wish, rule="wish", reason=f"{wish.value} was asked for.")


def _by_table(media: Media, thresholds: Thresholds, engines: Engines) -> Decision:
    minutes, mb = media.duration_seconds / 60, media.size_bytes / MB
    size = f"{_length(minutes)} and {mb:.0f} MB"
    if minutes > thresholds.long_hours * 60 or mb > thresholds.deepgram_min_mb:
        limit = f"more than {thresholds.long_hours:g} h or {thresholds.deepgram_min_mb:g} MB"
        return Decision(method=Method.DEEPGRAM, rule="long", reason=f"{size}: {limit} goes to Deepgram.")
    if minutes >= thresholds.short_hours * 60:
        limits = f"{thresholds.short_hours:g} to {thresholds.long_hours:g} h"
        return Decision(method=Method.HYBRID, rule="medium", reason=f"{size}: {limits} goes to both engines.")
    if minutes < thresholds.parakeet_max_minutes and mb < thresholds.parakeet_max_mb:
        limit = f"under {thresholds.parakeet_max_minutes:g} min and {thresholds.parakeet_max_mb:g} MB"
        return Decision(method=Method.PARAKEET, rule="small", reason=f"{size}: {limit} goes to Parakeet.")
    if engines.gpu or not engines.deepgram:
        limit = f"up to {thresholds.short_hours:g} h goes to Parakeet"
        return Decision(method=Method.PARAKEET, rule="short", reason=f"{size}: {limit}.")
    return Decision(method=Method.DEEPGRAM, rule="short-no-gpu", reason=f"{size}, and no GPU can be had: Deepgram.")


def _with_engines(chosen: Decision, media: Media, engines: Engines) -> Decision:
    match chosen.method:
        case Method.PARAKEET:
            return chosen
        case Method.HYBRID:
            obstacle = deepgram_obstacle(media, engines)
            if obstacle is None:
                note = "Hybrid runs as Parakeet in this version."
                return chosen.model_copy(update={"reason": f"{chosen.reason} {note}"})
        case Method.DEEPGRAM:
            obstacle = deepgram_obstacle(media, engines)
            if obstacle is None:
                return chosen
        case _:
            assert_never(chosen.method)
    if not engines.fallback:
        raise Rejected(f"{chosen.method.value.capitalize()} cannot be used: {obstacle}; fallback is switched off.")
    reason = f"{chosen.reason} {obstacle[0].upper()}{obstacle[1:]}: Parakeet."
    return Decision(method=Method.PARAKEET, rule=f"{chosen.rule}-without-deepgram", reason=reason)


def deepgram_obstacle(media: Media, engines: Engines) -> str | None:
    """Why Deepgram cannot take this upload; None where it can."""
    if not engines.deepgram:
        return "no Deepgram API key is configured"
    if media.size_bytes > engines.deepgram_max_bytes:
        return f"Deepgram takes at most {engines.deepgram_max_bytes / 1e9:g} GB"
    return None


def _length(minutes: float) -> str:
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.1f} min"


def thresholds_of(settings: FunctionSettings) -> Thresholds:
    """The table's borders as this deployment sets them."""
    return Thresholds(
        parakeet_max_minutes=settings.parakeet_max_minutes,
        parakeet_max_mb=settings.parakeet_max_mb,
        short_hours=settings.short_file_threshold_hours,
        long_hours=settings.long_file_threshold_hours,
        deepgram_min_mb=settings.deepgram_min_mb,
    )


def engines_of(settings: FunctionSettings) -> Engines:
    """The engines that this deployment is configured for."""
    return Engines(
        gpu=settings.enable_gpu_transcription,
        deepgram=settings.deepgram_api_key is not None,
        deepgram_max_bytes=settings.deepgram_max_bytes,
        fallback=settings.enable_fallback,
    )
