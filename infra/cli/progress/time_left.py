"""How long a run will take: by the speed of this machine's earlier runs until it has a speed of its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.cli.tables import short_clock
from shared.costs.speeds import DeviceSpeed
from shared.progress.describe import rough_duration, speed_text
from shared.progress.speed import MeasuredSpeed

PRIOR_SECONDS = 15.0
"""What the expected speed weighs beside the measured one: so many seconds of transcription."""


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
        self._speed = MeasuredSpeed()
        self._count = 0

    def add(self, elapsed: float, transcribed_seconds: float) -> None:
        """So much audio is transcribed after `elapsed` seconds."""
        self._count += transcribed_seconds > 0
        self._speed.add(elapsed, transcribed_seconds)

    @property
    def x_real_time(self) -> float | None:
        """The measured speed; None until there is one."""
        return self._speed.x_real_time

    def seconds(self, elapsed: float) -> float | None:
        """What is left after `elapsed` seconds; None where nothing is expected, or longer than expected nothing came.

        The prediction until the first words, then the speed since; at first mixed with the expected one.
        """
        if self._count < 2:
            return self._predicted_seconds - elapsed if self._predicted_seconds > elapsed else None
        measured_seconds, audio_seconds = self._speed.in_window
        last, done = self._speed.last
        expected = self._audio_seconds / self._predicted_seconds if self._predicted_seconds else 0.0
        weight = PRIOR_SECONDS if expected else 0.0
        is_measured = measured_seconds > 0
        speed = (audio_seconds + weight * expected) / (measured_seconds + weight) if is_measured else expected
        if speed <= 0:
            return None
        return max(0.0, max(0.0, self._audio_seconds - done) / speed - (elapsed - last))
