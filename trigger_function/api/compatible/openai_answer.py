"""A transcript in the JSON of OpenAI's transcriptions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any

from shared.transcript.deepgram_json import bare_word
from shared.transcript.model import Segment, Transcript, Word
from shared.transcript.timestamps import rounded
from trigger_function.api.compatible.openai_request import Granularity

Json = dict[str, Any]

SEEK_PER_SECOND = 100
"""Whisper counts frames of 10 ms."""


def to_openai(transcript: Transcript) -> Json:
    """`json`."""
    return {"text": transcript.text, "usage": _usage(transcript)}


def to_openai_verbose(transcript: Transcript, granularities: Collection[Granularity]) -> Json:
    """`verbose_json`, with our `coverage` beside it."""
    answer: Json = {
        "task": "transcribe",
        "language": _language_name(transcript.language),
        "duration": rounded(transcript.duration),
        "text": transcript.text,
        "usage": _usage(transcript),
        "coverage": {
            "gaps": [
                {"start": rounded(gap.start), "end": rounded(gap.end), "reason": gap.reason}
                for gap in transcript.coverage.gaps
            ]
        },
    }
    if Granularity.WORD in granularities:
        answer["words"] = [_word(word) for word in transcript.words]
    if Granularity.SEGMENT in granularities:
        answer["segments"] = [
            _segment(number, segment, [transcript.words[index] for index in segment.word_indexes(transcript.words)])
            for number, segment in enumerate(transcript.segments)
        ]
    return answer


def to_openai_diarized(transcript: Transcript) -> Json:
    """`diarized_json`: the speakers by letters, in the order in which they are heard."""
    return {
        "task": "transcribe",
        "duration": rounded(transcript.duration),
        "text": transcript.text,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{number}",
                "start": rounded(segment.start),
                "end": rounded(segment.end),
                "text": segment.text,
                "speaker": _UNKNOWN_SPEAKER if segment.speaker is None else _letters(segment.speaker),
            }
            for number, segment in enumerate(transcript.segments)
        ],
        "usage": _usage(transcript),
    }


_UNKNOWN_SPEAKER = "unknown"
"""Clients require a text."""


def _letters(speaker: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA, as columns of a spreadsheet."""
    before, letter = divmod(speaker, 26)
    return (_letters(before - 1) if before else "") + chr(ord("A") + letter)


_LANGUAGES = """
bg:bulgarian cs:czech da:danish de:german el:greek en:english es:spanish et:estonian fi:finnish fr:french hi:hindi
hr:croatian hu:hungarian it:italian ja:japanese ko:korean lt:lithuanian lv:latvian mt:maltese nl:dutch no:norwegian
pl:polish pt:portuguese ro:romanian ru:russian sk:slovak sl:slovenian sv:swedish tr:turkish uk:ukrainian zh:chinese
"""
_LANGUAGE_NAMES = dict(pair.split(":") for pair in _LANGUAGES.split())
"""As Whisper names them: those of Parakeet, and the largest of Deepgram."""


def _language_name(tag: str) -> str:
    """`de-CH` -> `german`; the tag itself where it has no name here."""
    return _LANGUAGE_NAMES.get(tag.lower().partition("-")[0], tag)


def _usage(transcript: Transcript) -> Json:
    return {"type": "duration", "seconds": math.ceil(transcript.duration)}


def _word(word: Word) -> Json:
    return {"word": bare_word(word.text), "start": rounded(word.start), "end": rounded(word.end)}


def _segment(number: int, segment: Segment, words: Sequence[Word]) -> Json:
    text = segment.text.encode()
    return {
        "id": number,
        "seek": int(segment.start * SEEK_PER_SECOND),
        "start": rounded(segment.start),
        "end": rounded(segment.end),
        "text": segment.text,
        # Clients require a list and numbers. There are no tokens of OpenAI's vocabulary, decoding is greedy, and what
        # is no speech has no segment.
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _mean_log_confidence(words),
        "compression_ratio": len(text) / len(zlib.compress(text)),
        "no_speech_prob": 0.0,
    }


def _mean_log_confidence(words: Sequence[Word]) -> float:
    """Of the words whose confidence is known; 0 where none is, which no client takes for a failed segment."""
    known = [math.log(max(word.confidence, _LEAST_CONFIDENCE)) for word in words if word.confidence is not None]
    return fmean(known) if known else 0.0


_LEAST_CONFIDENCE = 1e-6
"""Below it a logarithm says no more."""
