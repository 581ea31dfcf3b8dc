"""Plan the windows of a long file that several decoders work on at once.

Each window's decoder starts a little before it, in its lead. There its samples must be those of the decoder before it:
so inexact seeking is found at a join (`gpu_job.audio.window_joins`), and one decoder goes on alone.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from gpu_job.audio.samples import SAMPLE_RATE
from shared.media import Media

EXACT_CONTAINERS = frozenset({"aac", "ac3", "aiff", "amr", "au", "caf", "flac", "mov", "mp3", "ogg", "w64", "wav"})
"""Those in which FFmpeg seeks to the exact sample. Matroska, FLV, AVI and ASF round times to 1 ms or worse."""

INEXACT_CODECS = frozenset({"vorbis"})
"""After a seek, a Vorbis stream may be off by up to a packet."""

UNTIMED_CONTAINERS = frozenset({"aac", "ac3", "amr", "eac3", "mp3"})
"""Nothing but one codec frame after the other, without index or timestamps: a window's decoder reads all that comes
before it, 60 ms for each hour."""

MAX_UNTIMED_SECONDS = 6 * 3600
"""Seconds after which reading up to a window takes longer than decoding it."""

MAX_WINDOWED_SECONDS = 7 * 24 * 3600
"""Seconds; a header may state anything, and one decoder goes on from there."""

MIN_WINDOW_SECONDS = 30
"""Seconds; a window costs its lead and a seek, and each child 0.1 s of a core to start."""

DECODER_CHILDREN = 4
"""Most decoders at work on one file where nothing else is set; never more than there are cores."""

_CGROUPS = Path("/sys/fs/cgroup")

LEAD_FRAMES = 4 * SAMPLE_RATE
"""Frames that a window's decoder starts early."""

LEAD_FRAMES_OF_PART = 8 * SAMPLE_RATE
"""Of a part of a file, where decoders are compared to the last bit: Opus of speech gave the same samples 1.0 s after a
start in 92 to 98 of 100 places, and 1.9 s after it in all (docs/benchmarks.md)."""

MAX_WINDOW_OF_PART_SECONDS = 150
"""Of a part of a file: so early and so often it is checked that what was sought is the same as what was read up to."""


def usable_cores() -> int:
    """Cores this process may run on: a container's share, where it has less than the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, container_cores(_CGROUPS) or cores)


def container_cores(cgroups: Path) -> int | None:
    """The CPU limit of this process's control group, rounded up; None where there is none. Versions 2 and 1."""
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return None
    try:
        limit = math.ceil(int(quota) / int(period))
    except (ValueError, ZeroDivisionError):
        # `max` in version 2.
        return None
    return limit if limit > 0 else None  # version 1 has -1 where there is no limit


@dataclass(frozen=True)
class ParallelDecoding:
    """How many decoders work on one file, and how much audio they may buffer."""

    children: int = field(default_factory=lambda: min(DECODER_CHILDREN, usable_cores()))
    ahead_seconds: float = 600.0
    """Buffered audio, over all windows and channels: 38 MB."""


@dataclass(frozen=True)
class Window:
    """What one decoder works on, in frames of the upload; the last one goes on to the file's end."""

    start: int
    end: int | None
    lead: int = LEAD_FRAMES

    @property
    def frames(self) -> int | None:
        """How many; None: to the file's end."""
        return None if self.end is None else self.end - self.start

    @property
    def decoder_start(self) -> int:
        """Where its decoder starts."""
        return max(0, self.start - self.lead)

    @property
    def decoder_frames(self) -> int | None:
        """Frames its decoder is asked for, the lead included."""
        return None if self.end is None else self.end - self.decoder_start


def container_of(media: Media) -> str:
    """The first name of ffmpeg's demuxer."""
    return media.container.partition(",")[0]


def can_begin_anywhere(media: Media) -> bool:
    """Whether FFmpeg seeks to the exact sample of this file's container and codec, and without reading up to it."""
    container = container_of(media)
    return container in EXACT_CONTAINERS and container not in UNTIMED_CONTAINERS and media.codec not in INEXACT_CODECS


def plan_windows(media: Media, parallel: ParallelDecoding) -> list[Window]:
    """Windows at whole seconds, about equally long, their number a multiple of the children; one where seeking is
    inexact or the file is short.

    The stated length is only a hint.
    """
    container = container_of(media)
    seconds = media.duration_seconds
    seconds = min(seconds, MAX_UNTIMED_SECONDS if container in UNTIMED_CONTAINERS else MAX_WINDOWED_SECONDS)
    exact = container in EXACT_CONTAINERS and media.codec not in INEXACT_CODECS
    if not exact or parallel.children < 2 or seconds < 2 * MIN_WINDOW_SECONDS:
        return [Window(0, None)]
    count = parallel.children * math.ceil(seconds / (parallel.children * _longest(media, parallel)))
    length = max(MIN_WINDOW_SECONDS, math.ceil(seconds / count)) * SAMPLE_RATE
    starts = range(0, int(seconds * SAMPLE_RATE), length)
    return [Window(start, start + length) for start in starts[:-1]] + [Window(starts[-1], None)]


def plan_part(media: Media, parallel: ParallelDecoding, part: Window) -> list[Window]:
    """Windows of a part that begins at a whole second; more than one, and a short one first, so that seeking is checked
    soon."""
    length = max(MIN_WINDOW_SECONDS, min(MAX_WINDOW_OF_PART_SECONDS, int(_longest(media, parallel)))) * SAMPLE_RATE
    stated_end = int(min(media.duration_seconds, MAX_WINDOWED_SECONDS) * SAMPLE_RATE)
    second = part.start + MIN_WINDOW_SECONDS * SAMPLE_RATE
    last = max(second + 1, stated_end if part.end is None else min(part.end, stated_end))
    starts = [part.start, *range(second, last, length)]
    ends = [*starts[1:], part.end]
    return [Window(start, end, LEAD_FRAMES_OF_PART) for start, end in zip(starts, ends, strict=True)]


def _longest(media: Media, parallel: ParallelDecoding) -> float:
    """Seconds of a window that a decoder may buffer."""
    return parallel.ahead_seconds / (parallel.children * media.channels)
