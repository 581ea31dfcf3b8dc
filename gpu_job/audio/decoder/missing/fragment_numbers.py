"""The numbers of an MP4's fragments: where one is missing, FFmpeg takes the jump of the times for a pause."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from gpu_job.audio.decoder.byte_source import ByteSource
from shared.formats.fragments import Fragment, fragments


class FragmentNumbers:
    """Of one track. The file is read at the first question."""

    def __init__(self, source: ByteSource, track_id: int) -> None:
        self._source = source
        self._track_id = track_id
        self._fragments: list[Fragment] | None = None

    def is_broken(self, at: int, pos: int) -> bool:
        """Whether a fragment is missing between the packets at these offsets.

        Programs count all fragments of a file, or those of each track.
        """
        if self._fragments is None:
            self._fragments = list(fragments(self._source))
        starts = [fragment.start for fragment in self._fragments]
        between = self._fragments[max(0, bisect_right(starts, at) - 1) : bisect_right(starts, pos)]
        own = [one for one in between if any(run.track_id == self._track_id for run in one.runs)]
        return any(one.has_orphan for one in between[:-1]) or (_skips(between) and _skips(own))


def _skips(numbered: list[Fragment]) -> bool:
    """Whether a number is left out; some programs give all fragments the same."""
    return any(after.number - before.number not in (0, 1) for before, after in pairwise(numbered))
