"""Training examples, mixed anew for every step from the sentence bank and the noise bank."""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.tiny_parakeet.corpus import SAMPLE_RATE, Sentence
from tools.tiny_parakeet.espeak import Word
from tools.tiny_parakeet.noise import NoiseBank

Samples = NDArray[np.float32]

_NEGATIVE_SHARE = 0.06
_SILENT_NEGATIVE_SHARE = 0.2
_SAME_SPEAKER_SHARE = 0.85
"""How often the bank's next sentence follows, rather than anyone's."""
_CLEAN_SHARE = 0.2
_STEADY = ("white noise", "pink noise", "brown noise", "hum")
_STEADY_SHARE = 0.75
"""Share of noise beds that are steady; the others may be anything, and softer."""
_STEADY_SNR_DB = (8.0, 50.0)
_CHANGING_SNR_DB = (12.0, 35.0)
_NARROW_BAND_SHARE = 0.2
_NARROW_BAND_HZ = (3000.0, 7500.0)
_INTERLUDE_SHARE = 0.35
"""Share of long pauses filled with a sound."""
_INTERLUDE_MIN_SECONDS = 1.2
_TAIL_SECONDS = (0.02, 0.6)


@dataclass(frozen=True)
class Example:
    """What the model hears and what it should answer."""

    samples: Samples
    """[samples] at 16 kHz in -1..1."""
    text: str
    """Empty where nobody speaks."""
    words: tuple[Word, ...]


class Mixer:
    """Joins sentences into speech with pauses, and lays noise under it."""

    def __init__(self, bank: list[Sentence], noise: NoiseBank, seed: int) -> None:
        self._bank = bank
        self._noise = noise
        self._rng = random.Random(seed)
        self._numpy_rng = np.random.default_rng(seed)

    def example(self, seconds: float) -> Example:
        """A random example of at most `seconds`, now and then one without speech."""
        if self._rng.random() < _NEGATIVE_SHARE:
            return Example(self._soundscape(int(seconds * self._rng.uniform(0.3, 1) * SAMPLE_RATE)), "", ())
        return self.speech(seconds)

    def speech(self, seconds: float) -> Example:
        """Sentences with pauses between them, up to `seconds` in all."""
        index = self._index_of_at_most(seconds - 0.2)
        time = self._lead_in()
        placed: list[tuple[float, Sentence]] = []
        pauses: list[tuple[float, float]] = []
        while time + _seconds(self._bank[index]) <= seconds or not placed:
            sentence = self._bank[index]
            placed.append((time, sentence))
            time += _seconds(sentence)
            pause = self._pause()
            pauses.append((time, time + pause))
            time += pause
            index = (index + 1) % len(self._bank)
            if self._rng.random() > _SAME_SPEAKER_SHARE:
                index = self._rng.randrange(len(self._bank))
        last_time, last = placed[-1]
        end = last_time + _seconds(last) + self._rng.uniform(*_TAIL_SECONDS)
        mix = np.zeros(int(end * SAMPLE_RATE) + 1, np.float32)
        for start, sentence in placed:
            samples = _at_power(sentence.samples.astype(np.float32), self._decibels(-5, 5))
            begin = int(start * SAMPLE_RATE)
            mix[begin : begin + len(samples)] += samples[: len(mix) - begin]
        for begin_pause, end_pause in pauses[:-1]:
            self._fill_pause(mix, begin_pause, end_pause)
        words = tuple(
            Word(word.text, word.start + start, word.end + start)
            for start, sentence in placed
            for word in sentence.words
        )
        return Example(self._recorded(mix), " ".join(sentence.text for _, sentence in placed), words)

    def _index_of_at_most(self, seconds: float) -> int:
        while True:
            index = self._rng.randrange(len(self._bank))
            if _seconds(self._bank[index]) <= seconds:
                return index

    def _lead_in(self) -> float:
        """Seconds before the first sound. Chunks are cut close to speech, so half are hardly longer than a frame."""
        return self._rng.uniform(0.03, 0.12) if self._rng.random() < 0.5 else self._rng.uniform(0.1, 0.8)

    def _pause(self) -> float:
        """Seconds between two sentences."""
        ranges = ((0.12, 0.8), (0.8, 1.6), (1.6, 3.0), (3.0, 7.0))
        return self._rng.uniform(*self._rng.choices(ranges, (60, 25, 10, 5))[0])

    def _fill_pause(self, mix: Samples, begin: float, end: float) -> None:
        if end - begin < _INTERLUDE_MIN_SECONDS or self._rng.random() > _INTERLUDE_SHARE:
            return
        length = int((end - begin) * self._rng.uniform(0.3, 0.95) * SAMPLE_RATE)
        start = int(self._rng.uniform(begin, end - length / SAMPLE_RATE) * SAMPLE_RATE)
        fade = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.05 * SAMPLE_RATE))
        sound = self._noise.slice(self._numpy_rng, length) * fade.astype(np.float32) * self._decibels(-25, 0)
        mix[start : start + length] += sound[: len(mix) - start]

    def _recorded(self, speech: Samples) -> Samples:
        """Speech of unit power as a microphone would hand it over: with noise, band limits and some level."""
        if self._rng.random() > _CLEAN_SHARE:
            if self._rng.random() < _STEADY_SHARE:
                bed = self._noise.slice(self._numpy_rng, len(speech), _STEADY)
                speech = speech + bed * self._decibels(*(-snr for snr in _STEADY_SNR_DB))
            else:
                bed = self._noise.slice(self._numpy_rng, len(speech))
                speech = speech + bed * self._decibels(*(-snr for snr in _CHANGING_SNR_DB))
        if self._rng.random() < _NARROW_BAND_SHARE:
            speech = _band_limited(speech, self._rng.uniform(*_NARROW_BAND_HZ))
            if self._rng.random() < 0.5:
                speech = speech + self._noise.slice(self._numpy_rng, len(speech), _STEADY) * self._decibels(-70, -40)
        return self._levelled(speech)

    def _soundscape(self, length: int) -> Samples:
        """Silence, one sound, or a sound that begins and ends over a softer one."""
        if self._rng.random() < _SILENT_NEGATIVE_SHARE:
            floor = 0.0 if self._rng.random() < 0.5 else self._decibels(-100, -50)
            return self._noise.slice(self._numpy_rng, length, _STEADY) * floor
        mix = self._noise.slice(self._numpy_rng, length)
        if self._rng.random() < 0.5:
            mix = mix * self._decibels(-40, -5)
            begin, end = sorted(self._rng.randrange(length) for _ in range(2))
            mix[begin:end] += self._noise.slice(self._numpy_rng, end - begin)
        return self._levelled(mix)

    def _levelled(self, samples: Samples) -> Samples:
        return samples * (self._decibels(-34, -0.5) / max(float(np.abs(samples).max()), 1e-9))

    def _decibels(self, low: float, high: float) -> np.float32:
        """A random amplitude between two levels."""
        return np.float32(10 ** (self._rng.uniform(low, high) / 20))


def _seconds(sentence: Sentence) -> float:
    return len(sentence.samples) / SAMPLE_RATE


def _at_power(samples: Samples, amplitude: np.float32) -> Samples:
    return samples * (amplitude / max(float(np.sqrt(np.mean(samples**2))), 1e-9))


def _band_limited(samples: Samples, cutoff: float) -> Samples:
    """What a telephone or a low bit rate leaves: nothing above the cutoff, and with a low one nothing under 200 Hz."""
    spectrum = np.fft.rfft(samples)
    hertz_per_bin = SAMPLE_RATE / len(samples)
    spectrum[int(cutoff / hertz_per_bin) :] = 0
    if cutoff < 3800:
        spectrum[: int(200 / hertz_per_bin)] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)
