"""Speeds: how fast a deployment starts, decodes and transcribes, learned from its own runs.

One object in the state bucket, `speeds.json`, holds the last observations of each figure. A figure's estimate is the
median of them and a few copies of the setting it starts from: half of all observations may be wrong without moving
it beyond the right ones.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Annotated, Literal, NamedTuple

from google.cloud.storage import Bucket
from pydantic import BaseModel, ConfigDict, Field

from shared import objects
from shared.errors import SERVICE_UNAVAILABLE_ERRORS, best_effort

_log = logging.getLogger(__name__)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Figures = Mapping[str, float]
"""What one run showed: name of a figure -> its value."""

WINDOW = 30
"""Observations that are kept of each figure: a new image or another region shows after about half of them."""
PRIOR_WEIGHT = 3
"""Observations that the starting value counts as: the first odd run does not decide alone."""
SHORTEST_DEEPGRAM_SECONDS = 120.0
"""Shorter audio shows the round trip, not the speed."""
SHORTEST_HEARD_SECONDS = 120.0
"""Of speakers: shorter audio shows how their networks are loaded."""
SHORTEST_DECODED_SECONDS = 120.0
"""Shorter audio shows the start of the decoder's process, not its speed."""
CACHE_SECONDS = 30.0

_NAME = "speeds.json"
_DECODE, _DEEPGRAM = "decode_x_real_time", "deepgram_x_real_time"


class UnknownDevice(KeyError):
    """Nothing is known of this device's speed: an unknown speed is an error, never infinite."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class DeviceSpeed:
    """One kind of hardware: a GPU type, or `cpu`."""

    startup_seconds: float
    """From the start of an instance's bill to its first batch: container, imports, model load."""
    x_real_time: float
    """Seconds of audio that the model transcribes in a second."""
    speakers_x_real_time: float = 60.0
    """Seconds of audio whose speakers are told apart in a second, beside that."""


@dataclass(frozen=True)
class Speeds:
    """What predictions are made from. All `x_real_time` are seconds of audio per second."""

    devices: Mapping[str, DeviceSpeed]
    """With the deployment's own model."""
    decode_x_real_time: float
    deepgram_x_real_time: float
    models: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Seconds of audio per second of other models, by device and name; what is not there was not seen yet."""

    def for_model(self, model: str | None) -> Speeds:
        """What is predicted of an upload that another model hears; None: the deployment's own. A model that was not
        seen on a device yet counts as fast as the own one."""
        if model is None:
            return self
        devices = {
            device: replace(speed, x_real_time=self.models.get((device, model), speed.x_real_time))
            for device, speed in self.devices.items()
        }
        return replace(self, devices=devices)

    def own_model_seconds(self, audio_seconds: float, device: str, model: str | None) -> float:
        """Seconds of audio that the deployment's own model transcribes while another one transcribes `audio_seconds`:
        what queues and launch plans count in. The same number of a model that was not seen on the device yet."""
        if model is None or (device, model) not in self.models:
            return audio_seconds
        return audio_seconds * self.of(device).x_real_time / self.models[device, model]

    def of(self, device: str) -> DeviceSpeed:
        """The speed of one device. Raises UnknownDevice."""
        if device not in self.devices:
            known = ", ".join(sorted(self.devices)) or "none"
            raise UnknownDevice(f"no speed is known of {device!r} (known: {known})")
        return self.devices[device]


class AudioInSeconds(NamedTuple):
    """Audio that a model transcribed, and how long that took."""

    audio_seconds: float
    seconds: float


def execution_figures(
    device: str,
    *,
    startup_seconds: float | None = None,
    audio_seconds: float = 0.0,
    engine_seconds: float = 0.0,
    decode_audio_seconds: float = 0.0,
    decode_seconds: float = 0.0,
    speakers_audio_seconds: float = 0.0,
    speakers_seconds: float = 0.0,
    models: Mapping[str, AudioInSeconds] | None = None,
) -> Figures:
    """What one execution shows: its start-up, and the speeds of its model, of its decoders and of its telling speakers
    apart. Zeros: not seen.

    Model and decoders have audio of their own: channels that are transcribed apart are decoded once, and decoders
    are measured only while nothing else holds them up. `models`: of models other than the deployment's own, by name.
    """
    others = {
        _model_figure(device, name): spent.audio_seconds / spent.seconds if spent.seconds > 0 else 0.0
        for name, spent in (models or {}).items()
    }
    return _plausible(
        {
            **others,
            _startup_figure(device): startup_seconds or 0.0,
            _speed_figure(device): audio_seconds / engine_seconds if engine_seconds > 0 else 0.0,
            _DECODE: decode_audio_seconds / decode_seconds if decode_seconds > 0 else 0.0,
            _speakers_figure(device): speakers_audio_seconds / speakers_seconds if speakers_seconds > 0 else 0.0,
        }
    )


def deepgram_figures(audio_seconds: float, answer_seconds: float) -> Figures:
    """What one answer of Deepgram shows; nothing where the audio was too short."""
    if audio_seconds < SHORTEST_DEEPGRAM_SECONDS or answer_seconds <= 0:
        return {}
    return _plausible({_DEEPGRAM: audio_seconds / answer_seconds})


def _plausible(figures: Figures) -> Figures:
    return {name: value for name, value in figures.items() if value > 0 and math.isfinite(value)}


class Observations(BaseModel):
    """The last WINDOW values of each figure, the oldest first."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    figures: dict[str, tuple[Positive, ...]] = {}

    def with_run(self, seen: Figures) -> Observations:
        """These and one more run."""
        added = {name: (*self.figures.get(name, ()), value)[-WINDOW:] for name, value in seen.items()}
        return Observations(figures={**self.figures, **added})


def learned_speeds(initial: Speeds, seen: Observations, prior_weight: int = PRIOR_WEIGHT) -> Speeds:
    """The starting values, moved by what was observed. `prior_weight`: 0 uses them only where nothing was."""

    def estimate(name: str, start: float) -> float:
        return _estimate(name, start, seen, prior_weight)

    devices = {
        device: DeviceSpeed(
            estimate(_startup_figure(device), speed.startup_seconds),
            estimate(_speed_figure(device), speed.x_real_time),
            estimate(_speakers_figure(device), speed.speakers_x_real_time),
        )
        for device, speed in initial.devices.items()
    }
    models = {
        (device, model): estimate(figure, devices[device].x_real_time)
        for figure in seen.figures
        for device, model in [_model_of(figure)]
        if model and device in devices
    }
    return replace(
        initial,
        devices=devices,
        models=models,
        decode_x_real_time=estimate(_DECODE, initial.decode_x_real_time),
        deepgram_x_real_time=estimate(_DEEPGRAM, initial.deepgram_x_real_time),
    )


def _estimate(name: str, start: float, seen: Observations, prior_weight: int = PRIOR_WEIGHT) -> float:
    return float(median([start] * prior_weight + list(seen.figures.get(name, ())) or [start]))


def _startup_figure(device: str) -> str:
    return f"startup_seconds/{device}"


def _speed_figure(device: str) -> str:
    return f"x_real_time/{device}"


def _model_figure(device: str, model: str) -> str:
    """Of another model: what an older version stored of a device has no model, and stays the own one's."""
    return f"{_speed_figure(device)}/{model}"


def _model_of(figure: str) -> tuple[str, str]:
    """Device and model of such a figure; of others the model is empty."""
    kind, _, rest = figure.partition("/")
    device, _, model = rest.partition("/")
    return device, model if kind == "x_real_time" else ""


def _speakers_figure(device: str) -> str:
    return f"speakers_x_real_time/{device}"


class SpeedStore:
    """The observations in the state bucket, read at most every CACHE_SECONDS."""

    def __init__(self, state: Bucket, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock
        self._cached: tuple[float, Observations] | None = None

    def speeds(self, initial: Speeds, deadline_seconds: float | None = None) -> Speeds:
        """The speeds of at most CACHE_SECONDS ago; the last known ones where the store cannot be reached.

        `deadline_seconds`: of the storage client; None: its own limits.
        """
        at = self._clock()
        if self._cached is None or at - self._cached[0] > CACHE_SECONDS:
            try:
                seen = objects.read_json(
                    self._state, _NAME, Observations(), replace_unreadable=True, deadline_seconds=deadline_seconds
                )
                self._cached = (at, seen)
            except SERVICE_UNAVAILABLE_ERRORS:
                _log.warning("speeds not read", exc_info=True)
                self._cached = (at, self._cached[1] if self._cached else Observations())
        return learned_speeds(initial, self._cached[1])

    def usual(self, figure: str, start: float) -> float:
        """The estimate of another figure, as of the last `speeds`: `start`, moved by what was observed of it."""
        return _estimate(figure, start, self._cached[1] if self._cached else Observations())

    def observe(self, seen: Figures) -> bool:
        """Add one run; False where it was lost, because others wrote every time or the store cannot be reached."""
        if not seen:
            return True
        with best_effort("speed observation not stored", seen=dict(seen)):
            objects.update_json(
                self._state, _NAME, Observations(), lambda before: before.with_run(seen), replace_unreadable=True
            )
            return True
        return False
