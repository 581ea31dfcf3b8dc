"""Measure how fast files are decoded."""

from __future__ import annotations

import time


class DecodePace:
    """How fast a file is decoded and cut while nothing else holds it up: measured until the engine's queue is full."""

    BLOCKED_SECONDS = 0.1
    """Submitting chunks takes longer than this only where the queue is full."""

    def __init__(self) -> None:
        self.audio_seconds = 0.0
        self.wall_seconds = 0.0
        self._began = time.monotonic()
        self._is_blocked = False

    def add(self, audio_seconds: float, submit_seconds: float) -> None:
        """A block was decoded, and its chunks were submitted in so many seconds."""
        self._is_blocked = self._is_blocked or submit_seconds > self.BLOCKED_SECONDS
        if not self._is_blocked:
            self.audio_seconds += audio_seconds
            self.wall_seconds = time.monotonic() - self._began
