"""Sounds without words: what lies under speech, fills its pauses, and must be transcribed as nothing."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tools.tiny_parakeet.corpus import SAMPLE_RATE

Samples = NDArray[np.float32]
Generator = Callable[[np.random.Generator, int], Samples]


def coloured(exponent: float) -> Generator:
    """Noise whose power falls as 1/f**exponent: 0 white, 1 pink, 2 brown."""

    def generate(rng: np.random.Generator, length: int) -> Samples:
        spectrum = np.fft.rfft(rng.standard_normal(length))
        frequencies = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 20.0)
        return np.fft.irfft(spectrum * frequencies ** (-exponent / 2), length).astype(np.float32)

    return generate


def gusts(rng: np.random.Generator, length: int) -> Samples:
    """Noise that swells and dies away one to ten times a second, like wind, waves or applause."""
    noise = coloured(rng.uniform(0, 2))(rng, length)
    knots = rng.uniform(0, 1, max(3, int(length / SAMPLE_RATE * rng.uniform(1, 10)))) ** 2
    swell = np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots)
    return (noise * swell).astype(np.float32)


def hum(rng: np.random.Generator, length: int) -> Samples:
    """Mains hum or a motor: a low tone and its harmonics, never changing."""
    return _tone(rng, rng.choice([50.0, 60.0, rng.uniform(80, 300)]), length, harmonics=int(rng.integers(2, 12)))


def music(rng: np.random.Generator, length: int) -> Samples:
    """Chords of plucked or sustained notes, and a beat under half of them."""
    mix = np.zeros(length, np.float32)
    beat = rng.uniform(0.15, 0.9)
    root = rng.uniform(80, 350)
    decay = rng.uniform(0.5, 8)
    for onset in np.arange(0, length / SAMPLE_RATE, beat):
        begin = int(onset * SAMPLE_RATE)
        duration = min(int(beat * rng.choice([1, 2, 4]) * SAMPLE_RATE), length - begin)
        envelope = np.exp(-decay * np.arange(duration) / SAMPLE_RATE)
        envelope[:160] *= np.linspace(0, 1, 160)[: len(envelope[:160])]
        for semitones in rng.choice([0, 2, 3, 4, 5, 7, 9, 11, 12, 16, 19], rng.integers(1, 5), replace=False):
            note = _tone(rng, root * 2 ** (semitones / 12), duration, harmonics=int(rng.integers(1, 10)))
            mix[begin : begin + duration] += note * envelope
    if rng.random() < 0.5:
        mix += clicks(rng, length) * float(np.abs(mix).max())
    return mix


def beeps(rng: np.random.Generator, length: int) -> Samples:
    """Tones that are switched on and off: telephones and alarms."""
    tone = _tone(rng, rng.uniform(300, 2500), length, harmonics=int(rng.integers(1, 4)))
    period = rng.uniform(0.1, 2)
    on = (np.arange(length) / SAMPLE_RATE % period) < period * rng.uniform(0.2, 0.9)
    return tone * on


def sweep(rng: np.random.Generator, length: int) -> Samples:
    """A gliding tone, up and down like a siren."""
    low, high = sorted(rng.uniform(100, 4000, 2))
    phase = np.sin(2 * np.pi * rng.uniform(0.1, 2) * np.arange(length) / SAMPLE_RATE)
    frequency = (low + high) / 2 + (high - low) / 2 * phase
    return np.sin(2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE).astype(np.float32)


def clicks(rng: np.random.Generator, length: int) -> Samples:
    """Short bursts: keys, footsteps, a drum."""
    mix = np.zeros(length, np.float32)
    for begin in rng.integers(0, max(length - 3200, 1), max(1, int(length / SAMPLE_RATE * rng.uniform(1, 8)))):
        duration = min(int(rng.uniform(0.005, 0.2) * SAMPLE_RATE), length - begin)
        burst = coloured(rng.uniform(0, 2))(rng, duration) * np.exp(-6 * np.arange(duration) / duration)
        mix[begin : begin + duration] += burst / max(float(np.abs(burst).max()), 1e-9)
    return mix


def _tone(rng: np.random.Generator, frequency: float, length: int, *, harmonics: int) -> Samples:
    time = np.arange(length) / SAMPLE_RATE
    mix = np.zeros(length)
    for order in range(1, harmonics + 1):
        if frequency * order < SAMPLE_RATE / 2:
            amplitude = rng.uniform(0.2, 1) / order
            mix += amplitude * np.sin(2 * np.pi * (frequency * order * time + rng.random()))
    return mix.astype(np.float32)


GENERATORS: dict[str, Generator] = {
    "white noise": coloured(0),
    "pink noise": coloured(1),
    "brown noise": coloured(2),
    "gusts": gusts,
    "hum": hum,
    "music": music,
    "beeps": beeps,
    "sweep": sweep,
    "clicks": clicks,
}
_BANK_SECONDS = 30
_BANK_COPIES = {"music": 16, "gusts": 6, "hum": 6, "beeps": 6, "sweep": 4, "clicks": 6}
"""How many half minutes of each kind the bank holds; three of the others."""


class NoiseBank:
    """Half minutes of every kind of sound, made once, from which training takes random slices."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        length = _BANK_SECONDS * SAMPLE_RATE
        self._sounds = {
            kind: [_unit_power(generate(rng, length)) for _ in range(_BANK_COPIES.get(kind, 3))]
            for kind, generate in GENERATORS.items()
        }

    def slice(self, rng: np.random.Generator, length: int, kinds: tuple[str, ...] = tuple(GENERATORS)) -> Samples:
        """[length] samples of unit power of one of the kinds."""
        sounds = self._sounds[kinds[rng.integers(len(kinds))]]
        sound = sounds[rng.integers(len(sounds))]
        # Half minutes are joined end to end for what is longer.
        begin = int(rng.integers(len(sound)))
        return np.take(sound, np.arange(begin, begin + length), mode="wrap")


def _unit_power(samples: Samples) -> Samples:
    return samples / max(float(np.sqrt(np.mean(samples**2))), 1e-9)
