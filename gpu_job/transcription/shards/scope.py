"""What one transcription takes of a file: a shard's chunks from the part of the file that has them, or everything."""

from __future__ import annotations

import math

from gpu_job.audio.chunker import LOOKAHEAD_SECONDS, Chunk
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.parallel import Window, can_begin_anywhere
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.audio.sounding_track import has_one_candidate
from shared.costs.shard_plan import Shard
from shared.enums import Channels
from shared.media import Media


class ShardScope:
    """Of one file that is fed, perhaps twice: first in part, then from its start."""

    def __init__(self, shard: Shard | None, part: Window | None, seconds_behind: int) -> None:
        """`shard`: None: the whole upload. `seconds_behind`: of audio that is needed behind its end."""
        self.shard = shard
        self._seconds_behind = seconds_behind
        self.part = part
        """The frames that are decoded for it; None: from the file's start."""
        self._taken: set[tuple[int, int]] = set()
        """Channel and first sample of a shard's chunks."""

    @classmethod
    def of(
        cls, shard: Shard | None, media: Media | None, channels: Channels, cuts: CutRules, warm_up_seconds: int
    ) -> ShardScope:
        """`warm_up_seconds`: decoded before a shard, so that its cuts are those of the whole file."""
        behind = math.ceil(2 * cuts.max_seconds) + LOOKAHEAD_SECONDS
        if shard is None or media is None or not can_begin_anywhere(media):
            return cls(shard, None, behind)
        if channels is Channels.MIX and not has_one_candidate(media):
            return cls(shard, None, behind)
        begin = max(0, shard.start - warm_up_seconds)
        end = None if shard.end is None else shard.end + behind
        return cls(shard, Window(begin * SAMPLE_RATE, None if end is None else end * SAMPLE_RATE), behind)

    def is_behind(self, position: int) -> bool:
        """Whether no chunk that begins at this sample or later is the shard's."""
        return self.shard is not None and self.shard.end is not None and position >= self.shard.end * SAMPLE_RATE

    def is_far_behind(self, position: int) -> bool:
        """Whether this sample lies so far behind the shard that nothing more is decoded for it."""
        return self.is_behind(position - self._seconds_behind * SAMPLE_RATE)

    def takes(self, channel: int, chunk: Chunk) -> bool:
        """Whether a chunk belongs to it; of a shard's, which may be cut twice, the first time only."""
        if self.shard is None:
            return True
        place = (channel, chunk.start)
        if chunk.start < self.shard.start * SAMPLE_RATE or self.is_behind(chunk.start) or place in self._taken:
            return False
        self._taken.add(place)
        return True
