"""Decoded frames in their places -> the output: resampled stretches, silence between them, and losses."""

from __future__ import annotations

import math

from gpu_job.audio.decoder.clock import Placed
from gpu_job.audio.decoder.codecs.frames import OUTPUT_RATE, Frame, SoundFormat, channel_names, format_of
from gpu_job.audio.decoder.records import Format, Loss, RecordWriter, Silence
from gpu_job.audio.decoder.resampler import MAX_CHANNELS, Stretch, grid_step, stretch

MERGED_LOSS_SECONDS = 1.0
"""Losses no further apart than this are told as one."""


class CannotDecode(Exception):
    """The file cannot be decoded, or not in the way that was asked for."""

    def __init__(self, reason: str, *, only_windows: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.only_windows = only_windows
        """Whether it can be decoded from its start to its end."""


class WindowFull(Exception):
    """The output has as many frames as were asked for."""


class Output:
    """Frames of one window as they are written, and the losses among them."""

    def __init__(self, writer: RecordWriter, first: int, count: int | None) -> None:
        """From the frame `first` of the whole output on, `count` of them at most."""
        self.position = first
        """The frame of the whole output that is written next."""
        self._end = None if count is None else first + count
        self._writer = writer
        self._frame_bytes = 4
        self._format: Format | None = None
        self._loss: Loss | None = None

    def set_format(self, stated: Format) -> None:
        """Of the samples that follow."""
        if stated != self._format:
            self._writer.record(stated)
            self._format = stated
        self._frame_bytes = 4 * stated.channels

    def samples(self, data: memoryview) -> None:
        """Write interleaved samples. Raises WindowFull at the window's end."""
        frames = len(data) // self._frame_bytes
        room = frames if self._end is None else min(frames, self._end - self.position)
        self._writer.samples(data[: room * self._frame_bytes])
        self._advance(room)

    def silence(self, frames: int) -> None:
        """Write silence. Raises WindowFull at the window's end."""
        room = frames if self._end is None else min(frames, self._end - self.position)
        if room > 0:
            self._writer.record(Silence(room))
            self._advance(room)

    def loss(self, start: int, end: int, reason: str) -> None:
        """Sound is missing in [start, end); where both are equal, at that point."""
        before = self._loss
        if before is not None and before.reason == reason and start - before.end <= MERGED_LOSS_SECONDS * OUTPUT_RATE:
            self._loss = Loss(before.start, max(before.end, end), reason)
            return
        self.write_loss()
        self._loss = Loss(start, end, reason)

    def write_loss(self) -> None:
        """Tell the loss that might still have grown."""
        if self._loss is not None:
            self._writer.record(self._loss)
            self._loss = None

    def _advance(self, frames: int) -> None:
        self.position += frames
        if self._end is not None and self.position >= self._end:
            raise WindowFull


class Sound:
    """Takes placed frames of any formats. All its sound is written when `finish` has been called."""

    def __init__(self, output: Output, *, in_windows: bool) -> None:
        self._output = output
        self._in_windows = in_windows
        self._format: SoundFormat | None = None
        self._resampler: Stretch | None = None
        self._base = output.position / OUTPUT_RATE
        self._samples = 0
        self.formats = 0
        """How often the sample rate or the channels were others than before, the first time included."""
        self._last_format: SoundFormat | None = None

    @property
    def position(self) -> float:
        """Seconds of output until the end of what was added, more exact than whole frames."""
        return self._base + self._samples / self._format.rate if self._format else self._base

    def add(self, placed: Placed[Frame], reason: str) -> None:
        """Add a frame; `reason` says why there may be a loss before it.

        Raises WindowFull, CannotDecode where the format changes between windows or has too many channels.
        """
        frame = placed.item
        sound = format_of(frame)
        if placed.is_lost:
            here = round(self.position * OUTPUT_RATE)
            there = here if placed.start is None else max(here, round(placed.start * OUTPUT_RATE))
            self._output.loss(here, there, reason)
        if sound != self._format or placed.start is not None:
            if self._format is not None and sound != self._format and self._in_windows:
                raise CannotDecode("the sample rate or the channels change", only_windows=True)
            self._begin(sound, frame, placed.start)
        if sound != self._last_format:
            self._last_format = sound
            self.formats += 1
        self._push(frame, frame.samples)

    def follow(self, frame: Frame, samples: int) -> None:
        """Add a frame of so many samples that follows at once, and has nothing missing before it. As `add`."""
        if format_of(frame) == self._format == self._last_format:
            self._push(frame, samples)
        else:
            self.add(Placed(frame, None, False), "")

    def _push(self, frame: Frame, samples: int) -> None:
        assert self._resampler is not None  # begun with the first frame
        for block in self._resampler.push(frame, samples):
            self._output.samples(block)
        self._samples += samples

    def begin_trimmed(self, frame: Frame, skipped: int) -> None:
        """Begin with a frame of which the first samples are left out: they lie before the window."""
        self._format = format_of(frame)
        self._state_format(frame)
        self._resampler = stretch(self._format, frame, skipped=skipped)
        self._samples = -skipped

    def finish(self) -> None:
        """Write what the resampler still holds. Raises WindowFull."""
        if self._resampler is not None:
            resampler, self._resampler = self._resampler, None
            for block in resampler.finish():
                self._output.samples(block)
            self._base, self._format, self._samples = self.position, None, 0

    def _begin(self, sound: SoundFormat, frame: Frame, start: float | None) -> None:
        if sound.channels > MAX_CHANNELS:
            raise CannotDecode(f"it has {sound.channels} channels; at most {MAX_CHANNELS} can be read")
        self.finish()
        written = self._output.position
        begin = self._base if start is None else start
        step = grid_step(sound.rate)
        first = round(begin * sound.rate)
        lead = first % step
        grid = (first - lead) * OUTPUT_RATE // sound.rate
        # Begun on the grid of both rates, the resampler gives what one that began at the file's start gives.
        if start is not None and grid >= written:
            self._base, self._samples = grid / OUTPUT_RATE, lead
        else:
            grid, lead = math.floor(begin * OUTPUT_RATE), 0
            self._base, self._samples = begin, 0
        self._state_format(frame)
        self._output.silence(grid - written)
        self._format = sound
        self._resampler = stretch(sound, frame, leading_silence=lead)

    def _state_format(self, frame: Frame) -> None:
        self._output.set_format(Format(format_of(frame).channels, channel_names(frame)))
