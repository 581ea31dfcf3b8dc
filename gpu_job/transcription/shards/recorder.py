"""Note what one shard finds out of its range while it is fed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gpu_job.audio.audible import SampleRange
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decoder.records import CountedPart
from gpu_job.audio.packet_check import HeardSound
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audit.findings import Findings
from gpu_job.transcription.shards.edge_audio import EDGE_CHUNKS, EdgeChunk
from gpu_job.transcription.shards.facts import FACTS_VERSION, Border, ChunkMark, Place, ShardFacts, within
from shared.costs.shard_plan import Shard


class _Seen(NamedTuple):
    mark: ChunkMark
    polarity: int

    @classmethod
    def of(cls, chunk: Chunk) -> _Seen:
        return cls(ChunkMark(chunk.start, chunk.end, chunk.digest()), chunk.polarity)


class ShardRecorder:
    """Of one shard; the feeding thread's, until all is fed."""

    def __init__(self, shard: Shard, channels: int) -> None:
        self.shard = shard
        self.is_usable = True
        """False where something was lost, or where it was fed twice: what was found then says nothing."""
        self._first = shard.start * SAMPLE_RATE
        self._end = None if shard.end is None else shard.end * SAMPLE_RATE
        self._places: list[Place] = []
        self._at_start: list[_Seen | None] = [None] * channels
        self._at_end: list[_Seen | None] = [None] * channels
        self._foremost: list[list[Chunk]] = [[] for _ in range(channels)]
        self._last: list[deque[Chunk]] = [deque(maxlen=EDGE_CHUNKS) for _ in range(channels)]
        self._frames: int | None = None
        self._audible: list[tuple[SampleRange, ...]] = []
        self._loudness: tuple[int, ...] = ()
        self._heard: tuple[tuple[int, int], ...] = ()
        self._mixes: Mapping[int, str] = {}
        self._packets: CountedPart | None = None
        self._checksums: Mapping[int, int] = {}

    @property
    def has_begun(self) -> bool:
        """Whether it has a chunk."""
        return bool(self._places)

    @property
    def sees_next(self) -> bool:
        """Whether it knows each channel's first chunk behind it."""
        return all(self._at_end)

    def is_first(self, channel: int) -> bool:
        """Whether the channel's next chunk has one before it that is another shard's."""
        return self.shard.start > 0 and not self._foremost[channel]

    def cut(self, channel: int, chunk: Chunk) -> None:
        """A chunk was cut; of a channel in order of time, also what lies before the range or behind it."""
        if chunk.start < self._first:
            return
        self._at_start[channel] = self._at_start[channel] or _Seen.of(chunk)
        if self._end is not None and chunk.start >= self._end:
            self._at_end[channel] = self._at_end[channel] or _Seen.of(chunk)
            return
        if len(self._foremost[channel]) < EDGE_CHUNKS:
            self._foremost[channel].append(chunk)
        self._last[channel].append(chunk)
        self._places.append((channel, chunk.start, chunk.end))

    def fed(
        self,
        begin: int,
        frames: int | None,
        audible: Sequence[list[SampleRange]],
        loudness: tuple[int, ...],
        heard: HeardSound,
        mixes: Mapping[int, str],
        packets: CountedPart | None = None,
        checksums: Mapping[int, int] | None = None,
    ) -> None:
        """All is cut. `begin`: the frame from which on the file was decoded, and the others are counted. `frames`,
        `packets` and `checksums` as of ShardFacts. `mixes`: state of the mix by frame of the upload."""
        self._frames, self._mixes, self._packets = frames, mixes, packets
        self._checksums = checksums or {}

        def own(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
            return within([(begin + start, begin + stop) for start, stop in ranges], self._first, self._end)

        self._audible = [own(ranges) for ranges in audible]
        self._heard = own(heard.ranges)
        first, offset = self.shard.start, begin // SAMPLE_RATE
        end = None if self.shard.end is None else self.shard.end - offset
        self._loudness = loudness[first - offset : end]

    def facts(self, findings: Sequence[Findings]) -> ShardFacts | None:
        """What was found; None where it says nothing."""
        if not self.is_usable:
            return None
        start = None if self.shard.start == 0 else _border(self._mixes.get(self._first), self._at_start)
        end = None if self._end is None else _border(self._mixes.get(self._end), self._at_end)
        return ShardFacts(
            FACTS_VERSION,
            self.shard,
            self._frames,
            tuple(sorted(self._places)),
            start,
            end,
            tuple(self._audible),
            self._loudness,
            self._heard,
            tuple(findings),
            packets=self._packets,
            checksums=tuple(sorted(self._checksums.items())),
        )

    def edges(self) -> list[EdgeChunk]:
        """The outermost chunks at both ends of each channel, in order."""
        found: list[EdgeChunk] = []
        for channel, (foremost, last) in enumerate(zip(self._foremost, self._last, strict=True)):
            chunks = {chunk.start: chunk for chunk in (*foremost, *last)}
            found += [EdgeChunk(channel, chunks[start]) for start in sorted(chunks)]
        return found


def _border(mix: str | None, seen: Sequence[_Seen | None]) -> Border:
    marks = tuple(None if one is None else one.mark for one in seen)
    return Border(mix, marks, tuple(None if one is None else one.polarity for one in seen))
