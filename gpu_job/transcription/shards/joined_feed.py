"""Feed a file whose shards are done from what they found: only the ends of the shards are audited, and nothing is
decoded but what a shard left no word of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import PacketTimes
from gpu_job.audio.packet_check import HeardSound, hears_all
from gpu_job.audio.samples import seconds
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.transcription.channel_audits import ChannelAudits
from gpu_job.transcription.chunk_results import ChunkResults
from gpu_job.transcription.file_audio import ARRIVAL_POLL_SECONDS
from gpu_job.transcription.file_speakers import FileSpeakers
from gpu_job.transcription.listener import POLL_SECONDS, TranscriptionListener
from gpu_job.transcription.opinions.file_opinions import FileOpinions
from gpu_job.transcription.shards.edge_audio import packed_audio
from gpu_job.transcription.shards.facts import Place, ShardFacts
from gpu_job.transcription.shards.found import FoundInShard
from gpu_job.transcription.shards.joined import JoinedFacts, NotJoinable, StoredShards, joined, seam_chunks
from gpu_job.transcription.shards.packet_counter import PacketCounter
from gpu_job.transcription.shards.stored_beside import heard_speakers, kept_audio
from shared.costs.shard_plan import Shard
from shared.transcript.model import missing_end

_log = logging.getLogger(__name__)


class Part(Protocol):
    """A shard's transcription, for which its range is decoded again."""

    def feed(self, path: Path, arriving: ArrivingFile | None) -> float:
        """Decode its range and have it transcribed, as far as nothing is stored."""

    def is_complete(self) -> bool:
        """Whether everything is there."""

    def fail_lost_chunks(self) -> None:
        """To be called now and then."""

    def shard_facts(self) -> FoundInShard | None:
        """What it found; None where that says nothing."""

    def results(self) -> Sequence[ChunkResult]:
        """Those of its chunks."""


PartOf = Callable[[Shard, TranscriptionListener], Part]


class JoinedFeed:
    """Of one file, once."""

    def __init__(
        self,
        stored: StoredShards,
        audio: DecodeOptions,
        channels: int,
        results: ChunkResults,
        audits: ChannelAudits,
        speakers: FileSpeakers,
        opinions: FileOpinions,
        listener: TranscriptionListener,
        check: Callable[[], None],
    ) -> None:
        """`audio`: with the file's `media`. `listener`: the file's. `check`: called now and then; raises where it is
        to end."""
        self._stored = stored
        self._audio = audio
        self._channels = channels
        self._results = results
        self._audits = audits
        self._speakers = speakers
        self._opinions = opinions
        self._listener = listener
        self._check = check
        self._found: dict[Place, ChunkResult] = {}
        self._edges: dict[int, bytes] = {}
        """Of shards whose range was decoded again."""
        self._heard: dict[int, bytes] = {}
        """Of these, what was heard of speakers."""
        self._kept: dict[int, bytes] = {}
        """Of these, what is kept for second opinions."""

    def run(self, path: Path, arriving: ArrivingFile | None, part_of: PartOf) -> JoinedFacts:
        """Feed results, audits, speakers and second opinions; the answer has what the shards' own audits found. The
        audits are not ended.

        `part_of`: the transcription of a shard whose own worker left nothing, or another version's.

        Raises NotJoinable, after which the audits are of no use and the results are as before, but that those of shards
        that were heard again count for the decoding of the whole file; and what `arriving.wait` raises.
        """
        self._look()
        shards = [
            self._usable(shard) or self._found_again(shard, part_of, path, arriving) for shard in self._stored.plan
        ]
        facts = joined(shards, self._channels)
        options = replace(self._audio, arrival=None if arriving is None else arriving.map_path)
        self._compare(facts, facts.packets or self._counted(path, options))
        while arriving is not None and not arriving.wait(ARRIVAL_POLL_SECONDS):
            self._check()
        own = {} if arriving is None else arriving.checksums()
        if any(own.get(part, checksum) != checksum for part, checksum in facts.checksums.items()):
            raise NotJoinable("a shard read other bytes than the upload's")
        self._feed(shards, facts)
        return facts

    def run_stored(self, is_upload: Callable[[Mapping[int, int]], bool]) -> JoinedFacts | None:
        """The same without the file; None where it is needed, and nothing was fed. `is_upload`: whether these are the
        CRC32C of parts of the upload."""
        self._look()
        usable = [self._usable(shard) for shard in self._stored.plan]
        shards = [one for one in usable if one is not None]
        if len(shards) < len(usable):
            return None
        facts = joined(shards, self._channels)
        if facts.packets is None or not facts.checksums:
            return None
        self._compare(facts, facts.packets)
        if not is_upload(facts.checksums):
            return None
        self._feed(shards, facts)
        return facts

    def _look(self) -> None:
        """Raises NotJoinable before another shard is decoded in vain."""
        if unjoinable := next((shard for shard in self._stored.plan if shard in self._stored.unjoinable), None):
            raise NotJoinable(f"the shard at {unjoinable.start} s says nothing of the file")
        if self._speakers.are_told_apart and not any(one.speakers for one in self._stored.facts.values()):
            raise NotJoinable("no shard heard who speaks")
        if self._opinions.are_asked and not any(one.opinions for one in self._stored.facts.values()):
            raise NotJoinable("no shard kept audio for second opinions")

    def _feed(self, shards: list[ShardFacts], facts: JoinedFacts) -> None:
        results = [self._result(place) for place in facts.places]
        self._join_speakers(shards, facts.frames)
        self._join_opinions(shards)
        self._audit_seams(shards)
        for result in results:
            self._results.take(result)
        self._results.end(facts.frames, facts.audible, facts.loudness)

    def _usable(self, shard: Shard) -> ShardFacts | None:
        facts = self._stored.usable(shard)
        if facts is None or not all(self._results.stored_at(place) for place in facts.places):
            return None
        lacks_speakers = facts.speakers is None and self._speakers.are_told_apart
        return None if lacks_speakers or (facts.opinions is None and self._opinions.are_asked) else facts

    def _found_again(self, shard: Shard, part_of: PartOf, path: Path, arriving: ArrivingFile | None) -> ShardFacts:
        _log.info("decoding a shard's range once more", extra={"fields": {"shard": shard.number}})
        listener = PartListener(self._listener)
        part = part_of(shard, listener)
        part.feed(path, arriving)
        while not part.is_complete():
            self._check()
            part.fail_lost_chunks()
            listener.wait()
        self._results.keep(part.results())
        found = part.shard_facts()
        if found is None:
            raise NotJoinable(f"nothing is known of the shard at {shard.start} s")
        self._found |= {(one.channel, one.start, one.end): one for one in found.results}
        self._edges[shard.number] = packed_audio(found.edges)
        if found.speakers is not None:
            self._heard[shard.number] = found.speakers
        if found.opinions is not None:
            self._kept[shard.number] = found.opinions
        return found.facts

    def _result(self, place: Place) -> ChunkResult:
        result = self._found.get(place) or self._results.stored_at(place)
        if result is None:
            raise NotJoinable(f"a chunk at {seconds(place[1]):g} s has no result")
        return result

    def _counted(self, path: Path, options: DecodeOptions) -> PacketTimes:
        """The packets of all of the file, which shards have not counted."""
        _log.info("counting the packets of a divided upload once more")
        with PacketCounter(path, options) as counter:
            while not counter.wait(ARRIVAL_POLL_SECONDS):
                self._check()
        if counter.counted is None:
            raise NotJoinable("the file's packets cannot be counted")
        return counter.counted.times

    def _compare(self, facts: JoinedFacts, packets: PacketTimes) -> None:
        """Whether the shards heard all that the file has. What it lacks is stated by who decodes all of it."""
        media, heard = self._audio.media, HeardSound(facts.frames, list(facts.heard))
        if media is not None and missing_end(media, seconds(facts.frames)) is not None:
            raise NotJoinable("the file states to be longer")
        if not hears_all(packets, heard):
            raise NotJoinable("the file has sound that no shard heard")

    def _join_speakers(self, shards: Sequence[ShardFacts], frames: int) -> None:
        if not self._speakers.are_told_apart:
            return
        try:
            self._speakers.join(heard_speakers(self._stored, shards, self._heard), frames)
        except ValueError as error:
            raise NotJoinable(f"what shards heard of speakers: {error}") from error

    def _join_opinions(self, shards: Sequence[ShardFacts]) -> None:
        if not self._opinions.are_asked:
            return
        try:
            self._opinions.join(kept_audio(self._stored, shards, self._kept))
        except ValueError as error:
            raise NotJoinable(f"what shards kept for second opinions: {error}") from error

    def _audit_seams(self, shards: list[ShardFacts]) -> None:
        stored = replace(self._stored, edges=lambda number: self._edges.get(number) or self._stored.edges(number))
        for seam in seam_chunks(stored, shards):
            self._check()
            result = self._result((seam.channel, seam.chunk.start, seam.chunk.end))
            self._audits.cut(seam.channel, seam.chunk, is_neighbour=seam.is_neighbour)
            self._audits.transcribed(result)


class PartListener(TranscriptionListener):
    """Of a shard's range that is decoded again: who waits for it is the whole file's feeding."""

    def __init__(self, whole: TranscriptionListener) -> None:
        self._whole = whole
        self._is_complete = threading.Event()

    def chunk_transcribed(self, result: ChunkResult) -> None:
        """It is the whole file's, too."""
        self._whole.chunk_transcribed(result)

    def complete(self) -> None:
        """Let `wait` return at once."""
        self._is_complete.set()

    def broke(self, error: Exception) -> None:
        """The whole file needs another attempt."""
        self._whole.broke(error)

    def wait(self) -> None:
        """Until it is complete, or for a while."""
        self._is_complete.wait(POLL_SECONDS)
