"""Made conversations: people take turns, interrupt each other and speak at once, on a phone or in a room.

Two programs speak: flite's four voices of real people, and espeak-ng's, which are computed (Debian packages flite and
espeak-ng). Everything follows from a seed.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.speakers.turns import Turn
from shared.transcript.model import Word

FLITE = ("awb", "kal16", "rms", "slt")
ESPEAK = (("en-us+f2", 60), ("en-us+f5", 75), ("en-gb-x-rp+m1", 55))
"""Variant and pitch of voices that differ as people do; those of one sex and language are nearly one voice."""
VOICES: tuple[str | tuple[str, int], ...] = (*FLITE, *ESPEAK)

SENTENCES = (
    "I think we should talk about the budget before the end of the week.",
    "Yes, that is a good idea.",
    "Did you see the report that came in yesterday morning?",
    "No, not yet, but I will read it tonight.",
    "The customers were happy with the new design.",
    "We lost two days because the server was down.",
    "Can you tell me when the next meeting is?",
    "It starts at ten on Thursday in the big room.",
    "I do not agree with that at all.",
    "Well, let me explain why I see it differently.",
    "Right.",
    "Okay, sure.",
    "There was a long discussion about prices, and nobody wanted to decide.",
    "My sister moved to another city last summer and she likes it there.",
    "How long have you been working here?",
    "About three years now, since the company was founded.",
)

_LOUDNESS = 0.05
"""Root mean square of a turn; each voice is up to 30 % softer or louder."""
_NOISE = 0.001


@dataclass(frozen=True)
class Manner:
    """How people talk with each other, and where."""

    name: str
    interruptions: float = 0.15
    """Share of turns that begin before the one before has ended, by 0.3 to 1 s."""
    phone: bool = False
    """Nothing above 4 kHz."""
    room: bool = False
    """With an echo of a third of a second."""


MANNERS = (Manner("clean", 0.0), Manner("interruptions"), Manner("phone", phone=True), Manner("room", room=True))


class Conversation(NamedTuple):
    """The sound, who speaks when, and each word with its true speaker."""

    samples: Samples
    turns: list[Turn]
    words: list[Word]


def conversation(seed: int, people: int, manner: Manner, turns: int = 30) -> Conversation:
    """So many turns of so many voices. Words are spread evenly over their turn."""
    draw = random.Random(seed)
    voices = draw.sample(VOICES, people)
    parts: list[tuple[int, Samples]] = []
    spoken: list[Turn] = []
    words: list[Word] = []
    end, last = 0.5, -1
    for number in range(turns):
        speaker = draw.choice([one for one in range(people) if one != last])
        last = speaker
        text = " ".join(draw.choice(SENTENCES) for _ in range(draw.choice([1, 1, 2, 3])))
        sound = _said(text, voices[speaker]) * np.float32(draw.uniform(0.7, 1.3))
        interrupts = number > 0 and draw.random() < manner.interruptions
        start = max(0.0, end - draw.uniform(0.3, 1.0) if interrupts else end + draw.uniform(0.05, 0.8))
        end = start + seconds(len(sound))
        parts.append((int(start * SAMPLE_RATE), sound))
        spoken.append(Turn(start, end, speaker))
        each = (end - start) / len(text.split())
        words.extend(
            Word(text=word, start=start + at * each, end=start + (at + 1) * each, speaker=speaker)
            for at, word in enumerate(text.split())
        )
    samples = np.zeros(int((end + 0.5) * SAMPLE_RATE), np.float32)
    for at, sound in parts:
        samples[at : at + len(sound)] += sound
    words.sort(key=lambda word: word.start)
    return Conversation(_heard(samples, manner, seed), spoken, words)


def _heard(samples: Samples, manner: Manner, seed: int) -> Samples:
    noise = np.random.default_rng(seed)
    if manner.room:
        echo = noise.standard_normal(SAMPLE_RATE // 2) * np.exp(-np.arange(SAMPLE_RATE // 2) / 1500)
        echo[0] = 8
        size = len(samples) + len(echo)
        spectrum = np.fft.rfft(samples, size) * np.fft.rfft(echo / 8, size)
        samples = np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)
    if manner.phone:
        whole = np.fft.rfft(samples)
        whole[len(whole) // 2 :] = 0
        samples = np.fft.irfft(whole, len(samples)).astype(np.float32)
    return samples + np.float32(_NOISE) * noise.standard_normal(len(samples)).astype(np.float32)


def _said(text: str, voice: str | tuple[str, int]) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = (
            ["flite", "-voice", voice, "-t", text, "-o", str(path)]
            if isinstance(voice, str)
            else ["espeak-ng", "-v", voice[0], "-p", str(voice[1]), "-s", "165", "-w", str(path), text]
        )
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as file:
            rate, data = file.getframerate(), file.readframes(file.getnframes())
    sound = _resampled(np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768), rate)
    return np.asarray(sound * (_LOUDNESS / np.sqrt(np.mean(sound**2))), np.float32)


def _resampled(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """By its spectrum: nothing above what both rates hold."""
    if rate == SAMPLE_RATE:
        return sound
    length = round(len(sound) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(sound)[: length // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, length) * (length / len(sound)), np.float32)
