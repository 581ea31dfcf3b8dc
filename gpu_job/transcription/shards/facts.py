"""What a shard found out of its range beside words, so that nobody decodes it again to assemble its upload."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from gpu_job.audio.audible import SampleRange
from gpu_job.audio.decoder.records import CountedPart
from gpu_job.audio.packet_check import FrameRange
from gpu_job.audit.findings import Findings
from shared.costs.shard_plan import Shard

FACTS_VERSION = 1
"""Of what is stored. Facts of another version are found out anew."""

Place = tuple[int, int, int]
"""A chunk's channel, first and last sample, as of `StoredResults`."""


class ChunkMark(NamedTuple):
    """Where a chunk lies, and the `digest` of its samples."""

    start: int
    end: int
    digest: str


@dataclass(frozen=True)
class Border:
    """What a shard saw where two meet. Where both saw the same, the later one's chunks are the whole recording's."""

    mix: str | None
    """State of the mix of channels (`MixProbe`); None where nothing is mixed."""
    chunks: tuple[ChunkMark | None, ...]
    """By channel, the first that begins there or later; None: none came within what was decoded."""
    polarities: tuple[int | None, ...] = ()
    """Of these chunks' samples, as of `Chunk`, whose digest is without: of a mix a shard may have all of them turned
    over."""


@dataclass(frozen=True)
class ShardFacts:
    """Of a shard of which nothing was lost. Samples and frames are those of the upload."""

    version: int
    shard: Shard
    frames: int | None
    """Length of the upload, where the shard reached its end."""
    places: tuple[Place, ...]
    """Of all of its chunks, by channel and time."""
    start: Border | None
    """Where it begins; None of the upload's first shard."""
    end: Border | None
    """Where it ends; None of the last one."""
    audible: tuple[tuple[SampleRange, ...], ...]
    """By channel, where its range is audible."""
    loudness: tuple[int, ...]
    """Of each second of its range, as of `loudest`."""
    heard: tuple[FrameRange, ...]
    """Where samples arrived of its range."""
    findings: tuple[Findings, ...]
    """By channel, of all of its chunks but the first and the last, where another shard lies behind these."""
    speakers: str | None = None
    """`digest_of` what was heard of speakers in the windows that begin in its range; None: nothing was."""
    opinions: str | None = None
    """`digest_of` the audio that another engine may hear; None: none is kept."""
    packets: CountedPart | None = None
    """That begin in its range, as of `counted_together`; None: they were not counted, or cannot be in parts."""
    checksums: tuple[tuple[int, int], ...] = ()
    """The file's parts that were fetched for it, by number, as of `ArrivingFile.checksums`; empty where it was not
    fetched in parts."""


def digest_of(stored: bytes) -> str:
    """By which facts know what was stored beside them: another attempt at the shard may have left another."""
    return hashlib.sha256(stored).hexdigest()


def within(ranges: list[tuple[int, int]], first: int, end: int | None) -> tuple[tuple[int, int], ...]:
    """What of the ranges lies in [first, end); `end`: None: without end."""
    clipped = ((max(start, first), stop if end is None else min(stop, end)) for start, stop in ranges)
    return tuple((start, stop) for start, stop in clipped if start < stop)
