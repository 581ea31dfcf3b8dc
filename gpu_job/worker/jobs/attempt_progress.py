"""Whether an attempt gets further: what tells one that works from one that hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from shared.clock import now

ASSEMBLED_X_REAL_TIME = 10.0
"""A recording whose chunks all have their results is assembled at least so much faster than it plays: telling its
speakers apart, the slowest step, takes 113 s of a core an hour (docs/benchmarks.md), and this is a third of that speed.
"""


class AttemptProgress:
    """What one attempt did since it began. Used from one thread at a time, unless it says otherwise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved_at = clock()
        self.has_result = False
        """Whether an engine delivered something."""
        self._decoded_seconds = 0.0
        self._new_seconds = 0.0
        self.advanced_at: datetime | None = None
        """When it last had words that no attempt had before, as of the last look; None: it has none."""

    def look(self, decoded_seconds: float, new_seconds: float) -> None:
        """So much is decoded by now, and so much of the audio has results that are this attempt's."""
        if new_seconds > self._new_seconds:
            self.advanced_at = now()
        if decoded_seconds > self._decoded_seconds or new_seconds > self._new_seconds:
            self._moved_at = self._clock()
        self._decoded_seconds, self._new_seconds = decoded_seconds, new_seconds

    def advance(self) -> None:
        """It got further with something else: its redacted recording. From any thread."""
        self._moved_at = self._clock()

    def is_stuck(self, batch_timeout_seconds: float, to_assemble_seconds: float | None) -> bool:
        """Whether it has no result, and did nothing for as long as a batch may take.

        `to_assemble_seconds`: the recording's length, where all of its chunks have results, earlier attempts' among
        them; it is being assembled then, and decodes and transcribes nothing. None: they have not.
        """
        if self.has_result:
            return False
        allowed = batch_timeout_seconds + (to_assemble_seconds or 0.0) / ASSEMBLED_X_REAL_TIME
        return self._clock() - self._moved_at >= allowed
