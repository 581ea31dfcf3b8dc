"""The decision table: a method by length and size alone (COST_OPTIMIZATION=false). Pure.

| upload                    | method                                       |
|---------------------------|----------------------------------------------|
| > 4 h or > 400 MB         | Deepgram                                     |
| 2 h to 4 h                | hybrid                                       |
| 30 min to 2 h, or > 50 MB | Parakeet, or Deepgram when no GPU can be had |
| < 30 min and < 50 MB      | Parakeet, with or without GPU                |
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.enums import Method
from shared.media import Media
from shared.messages import Decision

MB = 1_000_000


@dataclass(frozen=True)
class Thresholds:
    """The table's borders. Sizes in MB of 10^6 bytes."""

    parakeet_max_minutes: float = 30.0
    parakeet_max_mb: float = 50.0
    short_hours: float = 2.0
    long_hours: float = 4.0
    deepgram_min_mb: float = 400.0

    def is_small(self, media: Media) -> bool:
        """Whether a CPU transcribes it soon enough."""
        return media.duration_seconds / 60 < self.parakeet_max_minutes and media.size_bytes / MB < self.parakeet_max_mb


def by_table(media: Media, thresholds: Thresholds, *, gpu: bool, deepgram: bool) -> Decision:
    """The table's row for an upload. `gpu`, `deepgram`: whether they can be had now."""
    minutes, mb = media.duration_seconds / 60, media.size_bytes / MB
    size = f"{_length(minutes)} and {mb:.0f} MB"
    if minutes > thresholds.long_hours * 60 or mb > thresholds.deepgram_min_mb:
        limit = f"more than {thresholds.long_hours:g} h or {thresholds.deepgram_min_mb:g} MB"
        return Decision(method=Method.DEEPGRAM, rule="long", reason=f"{size}: {limit} goes to Deepgram.")
    if minutes >= thresholds.short_hours * 60:
        limits = f"{thresholds.short_hours:g} to {thresholds.long_hours:g} h"
        return Decision(method=Method.HYBRID, rule="medium", reason=f"{size}: {limits} goes to both engines.")
    if thresholds.is_small(media):
        limit = f"under {thresholds.parakeet_max_minutes:g} min and {thresholds.parakeet_max_mb:g} MB"
        return Decision(method=Method.PARAKEET, rule="small", reason=f"{size}: {limit} goes to Parakeet.")
    if gpu or not deepgram:
        limit = f"up to {thresholds.short_hours:g} h goes to Parakeet"
        return Decision(method=Method.PARAKEET, rule="short", reason=f"{size}: {limit}.")
    return Decision(method=Method.DEEPGRAM, rule="short-no-gpu", reason=f"{size}, and no GPU can be had: Deepgram.")


def _length(minutes: float) -> str:
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.1f} min"
