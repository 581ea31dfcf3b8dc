"""Made conversations: people take turns, interrupt each other and speak at once, on a phone or in a room.

Voices that were cut together from recordings of a person speak: of flite and of festival (Debian packages flite,
festival and `PACKAGES`). Everything follows from a seed.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.speakers.turns import Turn
from shared.transcript.model import Word

FLITE = ("awb", "kal16", "rms", "slt")
FESTIVAL = (
    "ked_diphone",
    "czech_dita",
    "czech_krb",
    "czech_machac",
    "czech_ph",
    "upc_ca_ona_hts",
    "hy_fi_mv_diphone",
    "suo_fi_lj_diphone",
    "lp_diphone",
    "pc_diphone",
)
"""People of several languages, who read English by the rules of theirs."""

PACKAGES = (
    "festvox-kdlpc16k",
    "festvox-czech-dita",
    "festvox-czech-krb",
    "festvox-czech-machac",
    "festvox-czech-ph",
    "festvox-ca-ona-hts",
    "festvox-suopuhe-mv",
    "festvox-suopuhe-lj",
    "festvox-italp16k",
    "festvox-itapc16k",
)

VOICES = (*FLITE, *FESTIVAL)
"""The rule: each voice is a recorded person's, and each person has one. Computed voices (espeak-ng's) are left out, of
which all sound like one or two people; so is the second voice of slt (cmu_us_slt_arctic_hts)."""

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

INTERJECTIONS = ("Right.", "Okay, sure.")

_LOUDNESS = 0.05
"""Root mean square of a sentence; each turn is up to 30 % softer or louder."""
_NOISE = 0.001
_SILENCE = 0.02
"""Of the loudest sample: softer ends of a sentence are cut away."""
_SENTENCE_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Manner:
    """How people talk with each other, and where."""

    name: str
    interruptions: float = 0.15
    """Share of turns that begin before the one before has ended."""
    overlap: tuple[float, float] = (0.3, 1.0)
    """By so many seconds."""
    interjections: float = 0.0
    """Share of turns into which another one says a word or two."""
    phone: bool = False
    """Nothing above 4 kHz."""
    room: bool = False
    """With an echo of a third of a second."""


MANNERS = (
    Manner("turns", 0.0),
    Manner("interruptions"),
    Manner("crosstalk", 0.4, (0.5, 2.0), 0.3),
    Manner("phone", phone=True),
    Manner("room", room=True),
)


class Conversation(NamedTuple):
    """The sound, who speaks when, and each word with its true speaker."""

    samples: Samples
    turns: list[Turn]
    words: list[Word]
    """As an engine writes them: of words that two say at once, those of the louder."""
    all_words: list[Word]


def conversation(seed: int, people: int, manner: Manner, turns: int = 30) -> Conversation:
    """So many turns of so many voices. Words are spread evenly over their turn."""
    draw = random.Random(seed)
    voices = draw.sample(VOICES, people)
    parts: list[tuple[int, Samples]] = []
    spoken: list[Turn] = []
    loudness: list[float] = []
    words: list[Word] = []

    def say(speaker: int, sentences: list[str], start: float) -> float:
        pause = np.zeros(int(_SENTENCE_PAUSE_SECONDS * SAMPLE_RATE), np.float32)
        sounds = [part for sentence in sentences for part in (pause, said(sentence, voices[speaker]))][1:]
        loud = draw.uniform(0.7, 1.3)
        sound = np.concatenate(sounds) * np.float32(loud)
        end = start + seconds(len(sound))
        parts.append((int(start * SAMPLE_RATE), sound))
        spoken.append(Turn(start, end, speaker))
        loudness.append(loud)
        text = " ".join(sentences).split()
        each = (end - start) / len(text)
        words.extend(
            Word(text=word, start=start + at * each, end=start + (at + 1) * each, speaker=speaker)
            for at, word in enumerate(text)
        )
        return end

    end, last = 0.5, -1
    for number in range(turns):
        speaker = draw.choice([one for one in range(people) if one != last])
        last = speaker
        sentences = [draw.choice(SENTENCES) for _ in range(draw.choice([1, 1, 2, 3]))]
        interrupts = number > 0 and draw.random() < manner.interruptions
        start = max(0.0, end - draw.uniform(*manner.overlap) if interrupts else end + draw.uniform(0.05, 0.8))
        end = max(end, say(speaker, sentences, start))
        if draw.random() < manner.interjections:
            other = draw.choice([one for one in range(people) if one != speaker])
            say(other, [draw.choice(INTERJECTIONS)], start + (end - start) * draw.uniform(0.2, 0.6))
    samples = np.zeros(max(at + len(sound) for at, sound in parts) + SAMPLE_RATE // 2, np.float32)
    for at, sound in parts:
        samples[at : at + len(sound)] += sound
    words.sort(key=lambda word: word.start)
    written = [word for word in words if _is_heard(word, spoken, loudness)]
    return Conversation(_heard(samples, manner, seed), sorted(spoken), written, words)


def _is_heard(word: Word, turns: Sequence[Turn], loudness: Sequence[float]) -> bool:
    middle = (word.start + word.end) / 2
    _, loudest = max(
        (loud, turn.speaker) for turn, loud in zip(turns, loudness, strict=True) if turn.start <= middle < turn.end
    )
    return loudest == word.speaker


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


@lru_cache(maxsize=len(VOICES) * len(SENTENCES))
def said(text: str, voice: str) -> Samples:
    """A sentence in one of `VOICES`, without silence at its ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = (
            ["flite", "-voice", voice, "-t", text, "-o", str(path)]
            if voice in FLITE
            else ["text2wave", "-eval", f"(voice_{voice})", "-o", str(path)]
        )
        # Festival's Italian voices cannot ask English questions.
        spoken = text.replace("?", ".")
        subprocess.run(command, input=f"{spoken}\n".encode(), check=True, capture_output=True)
        with wave.open(str(path)) as file:
            rate, data = file.getframerate(), file.readframes(file.getnframes())
    sound = _resampled(np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768), rate)
    loud = np.nonzero(np.abs(sound) > _SILENCE * np.abs(sound).max())[0]
    sound = sound[loud[0] : loud[-1] + 1]
    return np.asarray(sound * (_LOUDNESS / np.sqrt(np.mean(sound**2))), np.float32)


def _resampled(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """By its spectrum: nothing above what both rates hold."""
    if rate == SAMPLE_RATE:
        return sound
    length = round(len(sound) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(sound)[: length // 2 + 1]
    return np.asarray(np.fft.irfft(spectrum, length) * (length / len(sound)), np.float32)
