"""The results of one file's chunks as they arrive, those of an earlier attempt among them, and how far that is."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from gpu_job.assembly.assemble import Assembly, ChunkResult
from gpu_job.audio.audible import SampleRange
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.samples import seconds
from shared.enums import Engine
from shared.transcript.model import Gap

StoredResults = Mapping[tuple[int, int, int], ChunkResult]
"""Results from an earlier attempt's checkpoints, by channel, first and last sample."""


class ChunkResults:
    """Used from any thread."""

    def __init__(self, channels: int, stored: StoredResults) -> None:
        self.assembly = Assembly()
        """To be read without its lock once it is complete: then it changes no more."""
        self._channels = channels
        self._stored = stored
        self._kept: dict[tuple[int, int, int], ChunkResult] = {}
        """Heard in this attempt, in a decoding that was not the whole file's."""
        self._reused: set[tuple[int, int, int]] = set()
        self._lock = threading.Lock()

    def expect(self, chunk: Chunk) -> None:
        """One more chunk was cut."""
        with self._lock:
            self.assembly.expect(chunk.start, chunk.end)

    def stored(self, channel: int, chunk: Chunk) -> ChunkResult | None:
        """What was heard of these very samples before: a result that was kept, or else an earlier attempt's, which
        `is_stored` knows from now on."""
        place = (channel, chunk.start, chunk.end)
        kept = self._kept.get(place)
        if kept is not None and _is_of(chunk, kept):
            return kept
        result = self.stored_at(place)
        if result is None or not _is_of(chunk, result):
            return None
        self._reused.add(place)
        return result

    def keep(self, results: Sequence[ChunkResult]) -> None:
        """Results of chunks of the file, as far as they have words: where it is decoded, they are not submitted again.

        Those that are an earlier attempt's stay its own, and those of another model than this file's are not kept."""
        model = self.stored_model
        for result in results:
            place = (result.channel, result.start, result.end)
            if result.failure is None and result.model == model and self._stored.get(place) is not result:
                self._kept[place] = result

    def stored_at(self, place: tuple[int, int, int]) -> ChunkResult | None:
        """An earlier attempt's result for a chunk of which it is known that its samples are the upload's."""
        result = self._stored.get(place)
        return result if result is not None and (result.channel, result.start, result.end) == place else None

    def take(self, result: ChunkResult) -> None:
        """The next chunk and its result, an earlier attempt's where it is a stored one."""
        with self._lock:
            self.assembly.expect(result.start, result.end)
            self.assembly.add(result)
        place = (result.channel, result.start, result.end)
        if self._stored.get(place) is result:
            self._reused.add(place)

    @property
    def has_stored(self) -> bool:
        """Whether an earlier attempt left results, or shards did."""
        return bool(self._stored)

    @property
    def stored_model(self) -> str | None:
        """What a trial of an earlier attempt chose; None: there was none."""
        return next((one.model for one in self._stored.values() if one.model is not None), None)

    def add(self, result: ChunkResult) -> None:
        """A chunk's result arrived."""
        with self._lock:
            self.assembly.add(result)

    def add_gap(self, gap: Gap) -> None:
        """A stretch of audio could not be read."""
        with self._lock:
            self.assembly.add_gap(gap)

    def end(self, frames: int, audible: Sequence[Sequence[SampleRange]], loudness: tuple[int, ...] | None) -> None:
        """The last chunk was cut; see `Assembly.end`."""
        with self._lock:
            self.assembly.end(frames, audible, loudness)

    @property
    def is_complete(self) -> bool:
        """Whether every chunk has its result, and no more will be cut."""
        with self._lock:
            return self.assembly.is_complete

    def all(self) -> list[ChunkResult]:
        """What arrived so far, by channel and time."""
        with self._lock:
            return self.assembly.results()

    def engine_at(self, channel: int, sample: int) -> Engine:
        """The engine of the chunk in which a sample of a channel lies, of a complete file; of one in none, that of the
        chunk before."""
        own = [one for one in self.all() if one.channel == channel]
        return own[max(0, bisect_right([one.start for one in own], sample) - 1)].engine

    def is_stored(self, result: ChunkResult) -> bool:
        """Whether it is an earlier attempt's."""
        return (result.channel, result.start, result.end) in self._reused

    def transcribed_seconds(self) -> float:
        """Audio that has its result; with split channels, each counts its share."""
        return sum(seconds(result.end - result.start) for result in self.all()) / self._channels

    def expected_seconds(self, stated: float | None) -> float:
        """Audio in all chunks, estimated until all is cut. `stated`: the file's length by its header, in seconds."""
        with self._lock:
            return self.assembly.expected_seconds(stated, self._channels)


def _is_of(chunk: Chunk, result: ChunkResult) -> bool:
    """Whether a result for the chunk's place is for its samples, too."""
    return result.audio is None or result.audio == chunk.digest()
