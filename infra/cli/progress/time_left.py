"""How long a run will take: by the speed of this machine's earlier runs until it has a speed of its own. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from infra.cli.tables import rough_duration, short_clock, speed_text
from shared.costs.speeds import DeviceSpeed

MEASURED_AFTER_SECONDS = 8.0
"""Of transcription, until its own speed is told: heartbeats report in steps of a batch."""
PRIOR_SECONDS = 15.0
"""What the expected speed weighs beside the measured one: so many seconds of transcription."""
WINDOW_SECONDS = 60.0
"""What the speed is measured over: a machine that others use, too, changes its own."""


@dataclass(frozen=True)
class Estimate:
    """What is known before anything is transcribed."""

    files: int
    audio_seconds: float
    """Audio that will be transcribed; channels that are transcribed apart count by themselves."""
    speed: DeviceSpeed
    is_measured: bool
    """Whether the speed is this machine's own, of earlier runs with this model."""
    is_partial: bool = False
    """Whether not all files were looked into, and their length was taken from their sizes."""

    @property
    def seconds(self) -> float:
        """From the start to the last transcript."""
        return self.speed.startup_seconds + self.audio_seconds / self.speed.x_real_time

    def __str__(self) -> str:
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        length = f"{'about ' if self.is_partial else ''}{short_clock(self.audio_seconds)}"
        why = "as measured here before" if self.is_measured else "an assumption until it is measured"
        return (
            f"{files}, {length} of audio: about {rough_duration(self.seconds)}"
            f" ({speed_text(self.speed.x_real_time)} x real time, {why})"
        )


def audio_of_all(inspected: Sequence[tuple[int, float]], sizes: Sequence[int]) -> float:
    """Seconds of audio of all files, by (bytes, seconds) of those looked into and the bytes of the others."""
    known_bytes, known_seconds = sum(size for size, _ in inspected), sum(seconds for _, seconds in inspected)
    return known_seconds + (sum(sizes) * known_seconds / known_bytes if known_bytes else 0.0)


class TimeLeft:
    """From how much is transcribed at which time."""

    def __init__(self, audio_seconds: float, predicted_seconds: float) -> None:
        """`predicted_seconds`: for all, from the start."""
        self._audio_seconds = audio_seconds
        self._predicted_seconds = predicted_seconds
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, elapsed: float, transcribed_seconds: float) -> None:
        """So much audio is transcribed after `elapsed` seconds."""
        if transcribed_seconds <= 0 or (self._seen and transcribed_seconds < self._seen[-1][1]):
            return
        self._seen.append((elapsed, transcribed_seconds))
        while len(self._seen) > 2 and elapsed - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def x_real_time(self) -> float | None:
        """The measured speed; None until there is one."""
        if not self._seen:
            return None
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last - first >= MEASURED_AFTER_SECONDS and after > before else None

    def seconds(self, elapsed: float) -> float | None:
        """What is left after `elapsed` seconds; None where nothing is expected, or longer than expected nothing came.

        The prediction until the first words, then the speed since; at first mixed with the expected one.
        """
        if len(self._seen) < 2:
            return self._predicted_seconds - elapsed if self._predicted_seconds > elapsed else None
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        expected = self._audio_seconds / self._predicted_seconds if self._predicted_seconds else 0.0
        weight = PRIOR_SECONDS if expected else 0.0
        speed = (after - before + weight * expected) / (last - first + weight) if last > first else expected
        if speed <= 0:
            return None
        return max(0.0, max(0.0, self._audio_seconds - after) / speed - (elapsed - last))
