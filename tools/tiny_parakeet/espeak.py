"""espeak-ng through ctypes: text in, samples and the time of every word out.

The command line tool does not report word times; the library does, to the millisecond, through its event callback
(speak_lib.h of espeak-ng 1.51, Debian package libespeak-ng1).
"""

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_CHARS_UTF8 = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE, _PARAMETER_WORD_GAP = 1, 3, 4, 7

_ENERGY_FRAME_SECONDS = 0.01
_SILENCE_BELOW_PEAK = 0.01
"""-40 dB: frames softer than this, relative to the loudest, are silence."""


class _Event(ctypes.Structure):
    """espeak_EVENT."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Voice:
    """How espeak-ng is to speak."""

    name: str
    """Accent and variant, for example "gmw/en-US+f3"."""
    rate: int = 170
    """Words per minute."""
    pitch: int = 50
    """0 to 100."""
    pitch_range: int = 50
    """0 (monotone) to 100."""
    word_gap: int = 0
    """Pause between words in units of 10 ms."""


@dataclass(frozen=True)
class Word:
    """A word as written, punctuation included, and where it is heard."""

    text: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""


@dataclass(frozen=True)
class Speech:
    """What espeak-ng said."""

    samples: NDArray[np.float32]
    """[samples] in -1..1."""
    sample_rate: int
    """Hz."""
    words: tuple[Word, ...]


class Espeak:
    """The library, initialised. It keeps global state: one instance per process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate: int = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, None, 0)
        self._blocks: list[NDArray[np.int16]] = []
        self._word_events: list[tuple[int, float]] = []
        # The library keeps only a pointer: the callback object must live as long as this one.
        self._callback = _SynthCallback(self._on_audio)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: Voice) -> Speech:
        """Synthesise one sentence, trimmed behind its last sound."""
        self._set_voice(voice)
        self._blocks, self._word_events = [], []
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 1, 0, _CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._blocks:
            raise ValueError(f"espeak-ng says nothing for {text!r} as {voice.name}")
        samples = np.concatenate(self._blocks).astype(np.float32) / np.float32(32768)
        loud = _loud_frames(samples, self.sample_rate)
        speech_end = float((loud[-1] + 1) * _ENERGY_FRAME_SECONDS)
        words = _timed_words(text, self._word_events, loud)
        return Speech(samples[: int(speech_end * self.sample_rate)], self.sample_rate, words)

    def _set_voice(self, voice: Voice) -> None:
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name!r}")
        # Selecting a voice resets these, so they come second.
        for parameter, value in (
            (_PARAMETER_RATE, voice.rate),
            (_PARAMETER_PITCH, voice.pitch),
            (_PARAMETER_RANGE, voice.pitch_range),
            (_PARAMETER_WORD_GAP, voice.word_gap),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)

    def _on_audio(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            if events[index].type == _EVENT_WORD:
                # text_position counts from one, audio_position in milliseconds.
                self._word_events.append((events[index].text_position - 1, events[index].audio_position / 1000))
            index += 1
        return 0


def _loud_frames(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.intp]:
    """Indices of the 10 ms frames that hold sound."""
    frame = int(_ENERGY_FRAME_SECONDS * sample_rate)
    peaks = np.abs(samples[: len(samples) // frame * frame]).reshape(-1, frame).max(axis=1)
    return np.nonzero(peaks > _SILENCE_BELOW_PEAK * peaks.max())[0]


def _timed_words(text: str, events: list[tuple[int, float]], loud: NDArray[np.intp]) -> tuple[Word, ...]:
    """Give each written word the event inside it, and end it at its last sound before the next word begins.

    espeak-ng speaks some pairs ("in the") as one and reports only the first; the pair then shares its time by length.
    """
    spellings = text.split()
    starts: list[float | None] = []
    position = 0
    for spelling in spellings:
        position = text.index(spelling, position)
        inside = [time for at, time in events if position <= at < position + len(spelling)]
        starts.append(inside[0] if inside else None)
        position += len(spelling)
    speech_end = float((loud[-1] + 1) * _ENERGY_FRAME_SECONDS)
    words: list[Word] = []
    index = 0
    while index < len(spellings):
        group_end = index + 1
        while group_end < len(spellings) and starts[group_end] is None:
            group_end += 1
        start = starts[index] or 0.0
        limit = speech_end if group_end == len(spellings) else starts[group_end] or speech_end
        end = _last_sound(loud, start, limit)
        letters = sum(len(spelling) for spelling in spellings[index:group_end])
        for spelling in spellings[index:group_end]:
            word_end = start + (end - start) * len(spelling) / max(letters, 1)
            words.append(Word(spelling, start, word_end))
            letters -= len(spelling)
            start = word_end
        index = group_end
    return tuple(words)


def _last_sound(loud: NDArray[np.intp], start: float, limit: float) -> float:
    """End of the last loud frame between two times, in seconds."""
    inside = loud[(loud * _ENERGY_FRAME_SECONDS >= start) & (loud * _ENERGY_FRAME_SECONDS < limit)]
    return min(float((inside[-1] + 1) * _ENERGY_FRAME_SECONDS), limit) if len(inside) else limit
