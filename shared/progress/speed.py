"""The speed of a transcription that runs, measured in the last minute of it."""

from __future__ import annotations

from collections import deque

MEASURED_AFTER_SECONDS = 8.0
"""Of transcription, until there is a speed: results come in steps of a batch."""
WINDOW_SECONDS = 60.0
"""What the speed is measured over: a machine that others use, too, changes its own."""


class MeasuredSpeed:
    """From how much is transcribed at which time. Used from one thread at a time."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, elapsed: float, transcribed_seconds: float) -> None:
        """So much audio is transcribed after `elapsed` seconds, on any clock that runs evenly."""
        if transcribed_seconds <= 0 or (self._seen and transcribed_seconds < self._seen[-1][1]):
            return
        self._seen.append((elapsed, transcribed_seconds))
        while len(self._seen) > 2 and elapsed - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def last(self) -> tuple[float, float]:
        """What was added last: when, and how much audio was transcribed; zeros where nothing was."""
        return self._seen[-1] if self._seen else (0.0, 0.0)

    @property
    def in_window(self) -> tuple[float, float]:
        """Seconds that were measured, and the audio that was transcribed in them."""
        if not self._seen:
            return 0.0, 0.0
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return last - first, after - before

    @property
    def x_real_time(self) -> float | None:
        """Seconds of audio that are transcribed in a second; None until that is known, and where nothing moves."""
        seconds, audio_seconds = self.in_window
        return audio_seconds / seconds if seconds >= MEASURED_AFTER_SECONDS and audio_seconds > 0 else None
