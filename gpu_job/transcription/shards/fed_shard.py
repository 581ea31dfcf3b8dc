"""What one transcription takes of a file, all of it or a shard, and what it notes of a shard for who joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.audible import SampleRange
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.parallel import MIN_WINDOW_SECONDS
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audio.sounding_track import has_one_candidate
from gpu_job.audit.findings import Findings
from gpu_job.transcription.channel_audio import ChannelAudio
from gpu_job.transcription.file_audio import FileAudio
from gpu_job.transcription.setup import FileRequest, PipelineOptions
from gpu_job.transcription.shards.facts import digest_of
from gpu_job.transcription.shards.found import FoundInShard
from gpu_job.transcription.shards.recorder import ShardRecorder
from gpu_job.transcription.shards.scope import ShardScope
from shared.media import Media


def hears_the_same(media: Media, channels: int) -> bool:
    """Whether a shard hears what the whole file's transcription does, the same track: else what it finds says nothing.

    `channels`: 1 for the mix of all."""
    return channels > 1 or has_one_candidate(media)


FIRST_DECODER_FRAMES = MIN_WINDOW_SECONDS * SAMPLE_RATE
"""From a file's start on, so much is one decoder's, however the rest is decoded."""


class FedShard:
    """Of one file, which may be fed twice: first in part, then from its start. The feeding thread's."""

    def __init__(self, request: FileRequest, options: PipelineOptions, channels: int) -> None:
        """Where the request has no shard, everything is taken and nothing noted."""
        media, asked = request.media, request.asked
        self.shard = request.shard
        self._scope = ShardScope.of(request.shard, media, asked.channels, options.cuts, options.warm_up_seconds)
        self._channels = channels
        is_noted = media is not None and hears_the_same(media, channels)
        self._recorder = ShardRecorder(request.shard, channels) if request.shard and is_noted else None

    @property
    def scope(self) -> ShardScope:
        """Which frames are decoded, and which chunks are taken."""
        return self._scope

    @property
    def is_noted(self) -> bool:
        """Whether what it finds will say something."""
        return self._recorder is not None

    @property
    def is_unjoinable(self) -> bool:
        """Whether what was found says nothing, and would not where it was heard again: something could not be read, or
        it has chunks of a decoding that turned out to be inexact."""
        return self.shard is not None and (self._recorder is None or not self._recorder.is_usable)

    def is_first(self, channel: int) -> bool:
        """Whether the channel's next chunk has one before it that is another shard's."""
        return self._recorder is not None and self._recorder.is_first(channel)

    def takes(self, channel: int, chunk: Chunk, *, is_certain: bool) -> bool:
        """A chunk was cut: whether it is to be transcribed. `is_certain`: it would be the same with more audio behind
        it."""
        if self._recorder is not None and is_certain:
            self._recorder.cut(channel, chunk)
        return self._scope.takes(channel, chunk)

    def is_behind(self, channels: Sequence[ChannelAudio]) -> bool:
        """Whether all of its chunks are cut."""
        return all(self._scope.is_behind(channel.position) for channel in channels)

    def is_left(self, channels: Sequence[ChannelAudio]) -> bool:
        """Whether nothing more is to be decoded: it is behind, and has seen each channel's next chunk, where it notes
        that, or looked far enough for it."""
        if not self.is_behind(channels):
            return False
        if self._recorder is None or self._recorder.sees_next:
            return True
        return all(self._scope.is_far_behind(channel.position) for channel in channels)

    def lose(self) -> None:
        """Something could not be read."""
        if self._recorder is not None:
            self._recorder.is_usable = False

    def begin_anew(self, position: int) -> bool:
        """It is fed again, from the file's start: what was found may be of wrong samples. False: chunks are with the
        audit by now. Results count for the same samples alone; an audit of two decodings would be one of neither.

        `position`: the frame of the file until which it was fed. Where that was from the file's start, and by its first
        decoder alone, the same samples come again."""
        self._scope.part = None
        if self._recorder is None:
            return False
        is_same = self.shard is not None and self.shard.start == 0 and position <= FIRST_DECODER_FRAMES
        is_clean = is_same or not self._recorder.has_begun
        self._recorder = ShardRecorder(self._recorder.shard, self._channels) if is_clean else None
        return is_clean

    def end(
        self, audio: FileAudio, audible: Sequence[list[SampleRange]], loudness: tuple[int, ...], *, is_left: bool
    ) -> None:
        """All is cut. `is_left`: before the file's end."""
        if self._recorder is None:
            return
        frames = None if is_left else audio.position
        self._recorder.fed(
            audio.begin, frames, audible, loudness, audio.heard, audio.mixes, audio.packets, audio.checksums
        )
        if audio.lost_frames:
            self.lose()

    def found(
        self,
        findings: Sequence[Findings],
        results: Sequence[ChunkResult],
        speakers: bytes | None,
        opinions: bytes | None,
    ) -> FoundInShard | None:
        """What a complete shard found; None where that says nothing. `speakers`, `opinions`: as of PackedFound."""
        facts = None if self._recorder is None else self._recorder.facts(findings)
        if facts is None or self._recorder is None:
            return None
        heard, kept = (None if one is None else digest_of(one) for one in (speakers, opinions))
        facts = replace(facts, speakers=heard, opinions=kept)
        return FoundInShard(facts, self._recorder.edges(), results, speakers, opinions)
