"""Speech for a recording: people who take turns, with pauses, and the time of every word."""

import random
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from tools.tiny_parakeet.espeak import Espeak, Voice, Word
from tools.tiny_parakeet.languages.english import ENGLISH
from tools.tiny_parakeet.voices import random_voice

_LOUDNESS = 0.08
"""Root mean square of every sentence, of 1."""
_PAUSE_SECONDS = (0.2, 1.2)
_LONG_SILENCE_SECONDS = (5.0, 8.0)
_EDGE_SECONDS = (0.2, 0.6)
_SENTENCES_PER_TURN = (2, 6)


@dataclass(frozen=True)
class Conversation:
    """What a set of people say."""

    samples: NDArray[np.float32]
    """[samples] in -1..1."""
    sample_rate: int
    """Hz."""
    words: tuple[Word, ...]
    voices: tuple[str, ...]
    """espeak-ng's names, in the order in which they first speak."""


def converse(
    espeak: Espeak,
    rng: random.Random,
    *,
    seconds: float,
    sample_rate: int,
    speakers: int,
    seen: bool,
    long_silences: int = 0,
    noise_db: float = -75.0,
) -> Conversation:
    """Sentences that training never uses, until `seconds` have passed.

    Speakers take turns in a fixed order. Long silences are spread evenly; `noise_db` is the level of the room,
    relative to full scale.
    """
    people = _people(rng, speakers, seen=seen)
    voices: list[str] = []
    parts: list[tuple[int, NDArray[np.float32]]] = []
    words: list[Word] = []
    time = rng.uniform(*_EDGE_SECONDS)
    silences = 0
    turn = 0
    while time < seconds:
        person = people[turn % speakers]
        turn += 1
        if person.name not in voices:
            voices.append(person.name)
        for _ in range(rng.randint(*_SENTENCES_PER_TURN)):
            if time >= seconds:
                break
            speech = espeak.say(ENGLISH.held_out_sentence(rng), person)
            samples = soxr.resample(speech.samples, speech.sample_rate, sample_rate)
            parts.append((round(time * sample_rate), samples * (_LOUDNESS / np.sqrt(np.mean(samples**2)))))
            words += [Word(word.text, word.start + time, word.end + time) for word in speech.words]
            time += len(speech.samples) / speech.sample_rate
            silence_due = time > seconds * (silences + 1) / (long_silences + 1)
            silences += silence_due
            time += rng.uniform(*(_LONG_SILENCE_SECONDS if silence_due else _PAUSE_SECONDS))
    end = words[-1].end + rng.uniform(*_EDGE_SECONDS)
    room = np.random.default_rng(rng.getrandbits(32)).standard_normal(int(end * sample_rate)).astype(np.float32)
    mix = room * np.float32(10 ** (noise_db / 20))
    for begin, samples in parts:
        mix[begin : begin + len(samples)] += samples[: len(mix) - begin]
    return Conversation(mix.clip(-1, 1), sample_rate, tuple(words), tuple(voices))


def _people(rng: random.Random, count: int, *, seen: bool) -> list[Voice]:
    """Speakers of different variants: eight held-out speakers are the eight held-out variants."""
    people: dict[str, Voice] = {}
    while len(people) < count:
        person = random_voice(rng, ENGLISH.accents, seen=seen)
        people.setdefault(person.name.partition("+")[2], person)
    return list(people.values())
