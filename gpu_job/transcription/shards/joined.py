"""Join what all shards of an upload found: as much as the whole recording's decoding tells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from gpu_job.audio.audible import MAX_PAUSE_FRAMES, SampleRange
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.counted_parts import counted_together
from gpu_job.audio.decoder.records import PacketTimes
from gpu_job.audio.loudness import FRAME
from gpu_job.audio.packet_check import FrameRange
from gpu_job.audit.findings import Findings, merged_findings
from gpu_job.transcription.shards.edge_audio import EDGE_CHUNKS, EdgeChunk, unpacked_audio
from gpu_job.transcription.shards.facts import FACTS_VERSION, Place, ShardFacts
from shared.costs.shard_plan import Shard


class NotJoinable(Exception):
    """The recording has to be decoded as a whole: its shards do not tell enough, or do not fit together."""


def nothing_stored(number: int) -> bytes | None:
    """Of shards of which nobody asked for it."""
    return None


@dataclass(frozen=True)
class StoredShards:
    """What the shards of one upload left beside the results of their chunks."""

    plan: tuple[Shard, ...]
    facts: Mapping[int, ShardFacts]
    """By number; of those that have them."""
    edges: Callable[[int], bytes | None]
    """Reads the `packed_audio` of a shard's ends; None where there is none. Raises what the storage client raises."""
    unjoinable: frozenset[Shard] = frozenset()
    """Those that say nothing of the file, and would not where they were heard again."""
    speakers: Callable[[int], bytes | None] = nothing_stored
    """Reads what a shard heard of speakers (`PartStage.packed`), in the same way."""
    opinions: Callable[[int], bytes | None] = nothing_stored
    """Reads what a shard kept for second opinions (`KeptAudio.packed`), in the same way."""

    def usable(self, shard: Shard) -> ShardFacts | None:
        """A shard's facts, where they are of this version and of this range."""
        facts = self.facts.get(shard.number)
        return facts if facts is not None and facts.version == FACTS_VERSION and facts.shard == shard else None


@dataclass(frozen=True)
class JoinedFacts:
    """Of the whole recording; see ShardFacts."""

    frames: int
    places: tuple[Place, ...]
    audible: tuple[tuple[SampleRange, ...], ...]
    loudness: tuple[int, ...]
    heard: tuple[FrameRange, ...]
    findings: tuple[Findings, ...]
    packets: PacketTimes | None
    """None where shards have not counted all of them."""
    checksums: Mapping[int, int]
    """Of the file's parts that shards read; of some where each read some, else empty."""


def joined(shards: Sequence[ShardFacts], channels: int) -> JoinedFacts:
    """The facts of all shards, in order. Raises NotJoinable."""
    frames = shards[-1].frames
    if frames is None or any(one.frames not in (None, frames) for one in shards):
        raise NotJoinable("no shard saw the recording's end")
    if any(len(one.audible) != channels or len(one.findings) != channels for one in shards):
        raise NotJoinable("shards heard other channels")
    for channel in range(channels):
        for number, (before, after) in enumerate(pairwise(shards)):
            later = shards[number + 1 :]
            _check(before, after, channel, is_silent=not any(_has(one, channel) for one in later))
    return JoinedFacts(
        frames,
        tuple(place for one in shards for place in one.places),
        tuple(
            _touching((found for one in shards for found in one.audible[channel]), MAX_PAUSE_FRAMES * FRAME)
            for channel in range(channels)
        ),
        tuple(level for one in shards for level in one.loudness),
        _touching((found for one in shards for found in one.heard), 1),
        tuple(merged_findings(one.findings[channel] for one in shards) for channel in range(channels)),
        counted_together([one.packets for one in shards]),
        _checksums(shards),
    )


def _checksums(shards: Sequence[ShardFacts]) -> dict[int, int]:
    checksums: dict[int, int] = {}
    for part, checksum in (each for one in shards for each in one.checksums):
        if checksums.setdefault(part, checksum) != checksum:
            raise NotJoinable(f"shards read different bytes in part {part} of the file")
    return checksums if all(one.checksums for one in shards) else {}


def _has(one: ShardFacts, channel: int) -> bool:
    return any(place[0] == channel for place in one.places)


def _check(before: ShardFacts, after: ShardFacts, channel: int, *, is_silent: bool) -> None:
    """`is_silent`: whether the channel has no chunk in any later shard."""
    ends, begins = before.end, after.start
    if ends is None or begins is None:
        raise NotJoinable("shards lie in another order")
    mark = ends.chunks[channel]
    if is_silent and mark is None:
        return
    if mark is None or mark != begins.chunks[channel] or ends.mix != begins.mix:
        raise NotJoinable(f"shards differ at {after.shard.start} s")


def _touching(ranges: Iterator[tuple[int, int]], apart: int) -> tuple[tuple[int, int], ...]:
    """Ranges in order, those less than `apart` from each other as one."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start - merged[-1][1] < apart:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True)
class SeamChunk:
    """A chunk at the end of a shard, as the audit of the seams takes it."""

    channel: int
    chunk: Chunk
    is_neighbour: bool
    """Whether it was audited in its shard."""


def seam_chunks(stored: StoredShards, shards: Sequence[ShardFacts]) -> Iterator[SeamChunk]:
    """The chunks at the ends of all shards, of each channel in order of time. Raises NotJoinable where there is no
    audio of them, or that of others."""
    for number, facts in enumerate(shards):
        is_first, is_last = number == 0, number == len(shards) - 1
        for channel, group in groupby(_edges(stored, facts), key=lambda edge: edge.channel):
            chunks = [edge.chunk for edge in group]
            own = [place for place in facts.places if place[0] == channel]
            wanted = own if len(own) <= 2 * EDGE_CHUNKS else [*own[:EDGE_CHUNKS], *own[-EDGE_CHUNKS:]]
            if [(channel, chunk.start, chunk.end) for chunk in chunks] != wanted:
                raise NotJoinable(f"the audio at the ends of shard {facts.shard.number} is of other chunks")
            mark = None if facts.start is None else facts.start.chunks[channel]
            if mark is not None and chunks[0].digest() != mark.digest:
                raise NotJoinable(f"the audio at the ends of shard {facts.shard.number} is another")
            outer = {*([] if is_first else [chunks[0].start]), *([] if is_last else [chunks[-1].start])}
            for chunk in chunks:
                yield SeamChunk(channel, chunk, chunk.start not in outer)


def _edges(stored: StoredShards, facts: ShardFacts) -> Sequence[EdgeChunk]:
    if not facts.places:
        return []
    data = stored.edges(facts.shard.number)
    if data is None:
        raise NotJoinable(f"there is no audio of the ends of shard {facts.shard.number}")
    try:
        edges = unpacked_audio(data)
    except ValueError as error:
        raise NotJoinable(str(error)) from error
    if {edge.channel for edge in edges} != {place[0] for place in facts.places}:
        raise NotJoinable(f"the audio at the ends of shard {facts.shard.number} is of other channels")
    return edges
