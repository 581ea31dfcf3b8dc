"""Where each decoded frame belongs on the output's clock, which is the player's. Pure.

Sound is never dropped: what comes too early is appended, and a clock that starts again goes on where the output stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

TOLERANCE_SECONDS = 0.1
"""Differences of timestamps below this are ignored: containers round, encoders jitter (ffmpeg's `min_hard_comp`)."""

BACKWARD_SECONDS = 1.0
"""A clock that goes back by more was set anew; by less, sound is appended until the clock has caught up."""

LATEST_START_SECONDS = 600.0
"""Seconds after the other streams at which sound may begin in a container whose clock may jump."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class ClockRules:
    """What the timestamps of a container mean."""

    has_times: bool = True
    """False: the container holds nothing but one codec frame after the other, and their samples are counted."""
    has_pauses: bool = True
    """False: the codec numbers every sample, so where numbers are missing, sound is missing."""
    discontinuity_seconds: float = math.inf
    """A longer jump forward is a clock set anew, not a pause."""
    longest_seconds: float = math.inf
    """A pause that would make the output longer is a clock set anew, too."""


class Placed(NamedTuple, Generic[Item]):
    """One frame's place on the output's clock."""

    item: Item
    start: float | None
    """Seconds, later than what came before ends; None: it follows at once."""
    is_lost: bool
    """Whether sound of the file is missing before it."""


@dataclass(frozen=True)
class _Held(Generic[Item]):
    item: Item
    start: float
    seconds: float
    complaint: bool


@dataclass
class Clock(Generic[Item]):
    """Places one stream's frames as they come.

    A frame that jumps is held until the next one: if that is back on the old clock, the jump was a wrong timestamp.
    """

    rules: ClockRules
    position: float = 0.0
    """Seconds of output until the end of the last placed frame."""
    _shift: float = field(default=0.0, init=False)
    """From the file's clock to the output's."""
    _is_first: bool = field(default=True, init=False)
    _held: _Held[Item] | None = field(default=None, init=False)

    def begin_recording(self, position: float) -> None:
        """What follows is another recording, whose times count from its own start."""
        self.position = self._shift = position
        self._is_first = True

    def begin_at(self, position: float) -> None:
        """Of a window: the file's clock is the output's, and stands here."""
        self.position, self._shift, self._is_first = position, 0.0, False

    def place(self, item: Item, start: float | None, seconds: float, *, complaint: bool) -> list[Placed[Item]]:
        """Frames that have their place now, this one or the one before or both.

        `start`: seconds from the start of the presentation, None where the frame has no timestamp. `complaint`: whether
        demuxer or decoder found something wrong shortly before it.
        """
        if start is None:
            return [*self.flush(), self._append(item, seconds, is_lost=False)]
        placed = [] if self._held is None else [self._settled(self._held, start)]
        at = start + self._shift
        jump = at - self.position
        if self._is_first:
            placed.append(self._first(item, at, seconds))
        elif -BACKWARD_SECONDS <= jump < TOLERANCE_SECONDS:
            placed.append(self._append(item, seconds, is_lost=False))
        else:
            self._held = _Held(item, start, seconds, complaint)
        return placed

    def follows(self, start: float, seconds: float) -> bool:
        """Whether a frame follows at once what was placed, as nearly all do; then it has its place, which `place` would
        have given it, too."""
        if self._held is not None or self._is_first:
            return False
        if not -BACKWARD_SECONDS <= start + self._shift - self.position < TOLERANCE_SECONDS:
            return False
        self.position += seconds
        return True

    def count(self, item: Item, seconds: float, *, lost: float = 0.0, is_torn: bool = False) -> Placed[Item]:
        """The place of a frame whose container has no times; so many seconds were lost before it.

        `is_torn`: sound is missing there, but nothing tells how much.
        """
        if lost > 0:
            return self._at(item, self.position + lost, seconds, is_lost=True)
        return self._append(item, seconds, is_lost=is_torn)

    def flush(self) -> list[Placed[Item]]:
        """The frame that was held, where nothing follows that could prove its timestamp wrong."""
        return [] if self._held is None else [self._settled(self._held, None)]

    def _first(self, item: Item, at: float, seconds: float) -> Placed[Item]:
        self._is_first = False
        late = at - self.position
        if late <= 0:
            if late < -BACKWARD_SECONDS:
                self._shift -= late
            return self._append(item, seconds, is_lost=False)
        limit = math.inf if math.isinf(self.rules.discontinuity_seconds) else LATEST_START_SECONDS
        if late > limit or at > self.rules.longest_seconds:
            self._shift -= late
            return self._append(item, seconds, is_lost=False)
        return self._at(item, at, seconds, is_lost=False)

    def _settled(self, held: _Held[Item], next_start: float | None) -> Placed[Item]:
        self._held = None
        at = held.start + self._shift
        jump = at - self.position
        if next_start is not None:
            next_at = next_start + self._shift
            is_wrong = next_at < at if jump > 0 else next_at >= self.position - BACKWARD_SECONDS
            if is_wrong:
                return self._append(held.item, held.seconds, is_lost=held.complaint)
        is_lost = held.complaint or (jump > 0 and not self.rules.has_pauses)
        if jump < 0 or jump > self.rules.discontinuity_seconds or at > self.rules.longest_seconds:
            self._shift -= jump
            return self._append(held.item, held.seconds, is_lost=is_lost)
        return self._at(held.item, at, held.seconds, is_lost=is_lost)

    def _append(self, item: Item, seconds: float, *, is_lost: bool) -> Placed[Item]:
        self.position += seconds
        return Placed(item, None, is_lost)

    def _at(self, item: Item, at: float, seconds: float, *, is_lost: bool) -> Placed[Item]:
        self.position = at + seconds
        return Placed(item, at, is_lost)
