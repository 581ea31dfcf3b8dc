"""Mix all channels of a file to mono so that none that sounds is lost. Pure: a stream in, a stream out.

    mix = gain * sum of (sign * weight * channel)

Weights follow the speaker layout. Signs keep channels in opposite phase from cancelling each other out
(`gpu_job.audio.mix.channel_phase`). The gain is by how many channels sound: one voice in 64 channels is not 36 dB down.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.mix.channel_phase import ChannelPhase, Stretches
from gpu_job.audio.samples import SAMPLE_RATE, AudioBlock, Frames, Samples

STRETCH_FRAMES = SAMPLE_RATE // 4
"""Signs and gain are decided for a quarter of a second at a time, from these frames themselves."""

RAMP_FRAMES = SAMPLE_RATE // 50
"""Gains change over 20 ms, which makes no click."""

MAX_FIXED_GAIN_CHANNELS = 2
"""Up to stereo the gain is always 1: half of each, as everywhere."""

PAUSE_LEVEL = 0.1
"""A stretch at less than this part of the recent peak (-20 dB) is a pause, whose noise does not turn the gain down."""

RECENT_HALF_LIFE_FRAMES = 5 * SAMPLE_RATE
"""How long it takes for the recent peak to fade to a half."""

FRONT_CENTER_WEIGHT, FRONT_WEIGHT, OTHER_WEIGHT = 1.0, 0.5**0.5, 0.5
"""How much of each speaker's channel is in the mix, before they are scaled to add up to 1: those of FFmpeg's
libswresample/rematrix.c with its default levels (-3 dB); channels that it leaves out have OTHER_WEIGHT."""

FRONT_CHANNELS = frozenset({"FL", "FR", "FLC", "FRC", "TFL", "TFR"})

BASS_CHANNELS = frozenset({"LFE", "LFE2"})
"""Low-frequency effects: nothing above 120 Hz, and by default no part of a mix."""

BASS_HZ = 300.0
"""What a bass channel holds above this is no bass: a steep filter at 120 Hz leaves nothing of it."""

MISTAGGED_SHARE, MISTAGGED_RMS = 0.003, 1e-3
"""A bass channel with so much of its energy (-25 dB) and so much of full scale (-60 dB) above BASS_HZ is some other
track under that name, and stays so. Speech has half of its energy there."""

UNPLACED = "NONE"
"""FFmpeg's name of a channel whose place is not stated; among others like it, all weigh the same."""

Gains = NDArray[np.float32]
"""Shape [stretches, channels]."""


@dataclass
class MixProbe:
    """Takes the state of a mix at some frames: two mixes with one state mix what follows alike, but for the sign."""

    frames: Collection[int]
    """Of the stream, at whole seconds."""
    states: dict[int, str] = field(default_factory=dict)
    """By frame, of those that were reached."""


def mix_down(blocks: Iterable[AudioBlock], probe: MixProbe | None = None) -> Iterator[Samples]:
    """The mix of all channels, shape [T] a block, in [-1, 1]. It is the same however the stream comes in blocks."""
    mixer: _Mixer | None = None
    frames = 0
    for block in blocks if probe is None else _divided_at(blocks, probe.frames):
        if mixer is None or not mixer.fits(block):
            if mixer is not None:
                yield from mixer.end()
            mixer = _Mixer(block.samples.shape[1], block.layout)
        yield from mixer.add(block.samples)
        frames += len(block.samples)
        if probe is not None and frames in probe.frames:
            probe.states[frames] = mixer.state
    if mixer is not None:
        yield from mixer.end()


def _divided_at(blocks: Iterable[AudioBlock], places: Collection[int]) -> Iterator[AudioBlock]:
    """The stream in blocks of which some end at these frames."""
    at = 0
    for block in blocks:
        samples, start = block.samples, at
        at += len(samples)
        for place in sorted(place for place in places if start < place < at):
            yield replace(block, samples=samples[: place - start])
            samples, start = samples[place - start :], place
        yield block if len(samples) == len(block.samples) else replace(block, samples=samples)


def downmix_weights(names: Sequence[str]) -> Samples:
    """The weight of each channel in the mix, by its FFmpeg name; they add up to 1."""
    only_bass = BASS_CHANNELS.issuperset(names)
    weights = np.array([1.0 if only_bass else _weight(name) for name in names], np.float32)
    scaled: Samples = weights / weights.sum()
    return scaled


def _weight(name: str) -> float:
    if name in BASS_CHANNELS:
        return 0.0
    if name == "FC":
        return FRONT_CENTER_WEIGHT
    return FRONT_WEIGHT if name in FRONT_CHANNELS else OTHER_WEIGHT


class _Mixer:
    """The mix of a stream whose channels stay the same."""

    def __init__(self, channels: int, layout: tuple[str, ...] | None) -> None:
        self._channels = channels
        self._layout = layout
        self._names = [UNPLACED] * channels if layout is None else list(layout)
        self._phase = ChannelPhase(channels)
        self._pending: list[Frames] = []
        self._gain = 1.0
        self._recent_peak = 0.0
        self._last: Gains | None = None
        """The gains of the last stretch, shape [channels]."""

    def fits(self, block: AudioBlock) -> bool:
        """Whether the block has the same channels."""
        return block.samples.shape[1] == self._channels and block.layout == self._layout

    @property
    def state(self) -> str:
        """All that what follows depends on; signs by whether they are the first channel's, and to the last bit."""
        signs = (self._phase.kept * self._phase.kept[0]).tolist()
        pending = sum(map(len, self._pending))
        return f"{self._layout} {self._names} {signs} {self._gain!r} {self._recent_peak!r} {pending}"

    def add(self, frames: Frames) -> Iterator[Samples]:
        """The next frames -> the mix of all whole stretches until now."""
        if self._channels == 1:
            yield frames[:, 0]
            return
        self._pending.append(frames)
        whole = sum(map(len, self._pending)) // STRETCH_FRAMES
        if whole:
            frames = np.concatenate(self._pending)
            self._pending = [frames[whole * STRETCH_FRAMES :].copy()]
            stretches = frames[: whole * STRETCH_FRAMES].reshape(whole, STRETCH_FRAMES, self._channels)
            yield self._mix(np.ascontiguousarray(stretches.transpose(0, 2, 1)))

    def end(self) -> Iterator[Samples]:
        """The mix of the last, shorter stretch."""
        rest = sum(map(len, self._pending))
        if rest:
            yield self._mix(np.ascontiguousarray(np.concatenate(self._pending).T)[np.newaxis])

    def _mix(self, stretches: Stretches) -> Samples:
        weights = self._weights(stretches)
        gains: Gains = weights * self._phase.signs(stretches)
        if self._channels > MAX_FIXED_GAIN_CHANNELS:
            gains *= self._level(stretches, weights)[:, np.newaxis]
        mix: NDArray[np.float32] = (gains[:, np.newaxis] @ stretches)[:, 0]
        for number, own in enumerate(gains):
            if self._last is not None and (own != self._last).any():
                ramp = np.linspace(0, 1, RAMP_FRAMES, dtype=np.float32)[: mix.shape[1]]
                changing = np.outer(self._last, 1 - ramp) + np.outer(own, ramp)
                mix[number, : len(ramp)] = (stretches[number, :, : len(ramp)] * changing).sum(axis=0)
            self._last = own
        return np.clip(mix, -1.0, 1.0).reshape(-1)

    def _weights(self, stretches: Stretches) -> Gains:
        """Of each stretch; a bass channel that turns out to be another track counts from there on."""
        weights: list[Samples] = []
        for stretch in stretches:
            for number, name in enumerate(self._names):
                if name in BASS_CHANNELS and _is_more_than_bass(stretch[number]):
                    self._names[number] = "mistagged"
            weights.append(downmix_weights(self._names))
        return np.array(weights, np.float32)

    def _level(self, stretches: Stretches, weights: Gains) -> Samples:
        """By how much each stretch's mix is turned up, shape [stretches], so that it is as loud as its loudest channel.

        A mix that would reach the sum of all weighted peaks is turned up to the highest peak: so it cannot clip.
        """
        peaks = np.maximum(stretches.max(axis=2), -stretches.min(axis=2))
        sums = (weights * peaks).sum(axis=1).tolist()
        loudest = (peaks * (weights > 0)).max(axis=1).tolist()
        fade = 0.5 ** (stretches.shape[2] / RECENT_HALF_LIFE_FRAMES)
        levels = []
        for highest, total in zip(loudest, sums, strict=True):
            self._recent_peak = max(highest, self._recent_peak * fade)
            level = highest / total if total else self._gain
            is_pause = highest < PAUSE_LEVEL * self._recent_peak and self._gain * total <= 1.0
            self._gain = max(level, self._gain) if is_pause else level
            levels.append(self._gain)
        return np.array(levels, np.float32)


def _is_more_than_bass(channel: Samples) -> bool:
    window = np.hanning(len(channel)).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(channel * window)))
    first = int(np.ceil(BASS_HZ * len(channel) / SAMPLE_RATE))
    above, whole = float(power[first:].sum()), float(power.sum())
    mean_square = 2 * above / (len(channel) * float(np.square(window).sum()) or 1.0)
    return mean_square > MISTAGGED_RMS**2 and above > MISTAGGED_SHARE * whole
