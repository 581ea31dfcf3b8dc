"""The transcript in the shape of Deepgram's /v1/listen response, for programs that already read that.

Only what is known: no `created`, no `sha256`; a confidence that the engine did not give is null, so that the key is
there without a made-up number. `metadata.coverage` is our addition.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from shared.transcript.model import Paragraph, Segment, Transcript, Word
from shared.transcript.timestamps import rounded

Json = dict[str, Any]


def to_deepgram(transcript: Transcript) -> Json:
    """Deepgram's response to `punctuate`, `paragraphs` and `utterances`, and to `diarize` where speakers are known."""
    words = [_word(word) for word in transcript.words]
    return {
        "metadata": _metadata(transcript),
        "results": {
            "channels": [
                {
                    "alternatives": [
                        {
                            "transcript": transcript.text,
                            "confidence": _confidence(transcript.words),
                            "words": words,
                            "paragraphs": {
                                "transcript": _paragraphs_text(transcript.paragraphs),
                                "paragraphs": [
                                    _paragraph(paragraph, transcript.segments) for paragraph in transcript.paragraphs
                                ],
                            },
                        }
                    ]
                }
            ],
            "utterances": [
                _utterance(f"{transcript.job_id}-{index}", segment, transcript.words, words)
                for index, segment in enumerate(transcript.segments)
            ],
        },
    }


def plain_word(text: str) -> str:
    """Lower case, without punctuation at either end; a word of nothing but punctuation stays as it is."""
    first, after = 0, len(text)
    while first < after and unicodedata.category(text[first]).startswith("P"):
        first += 1
    while after > first and unicodedata.category(text[after - 1]).startswith("P"):
        after -= 1
    return (text[first:after] or text).lower()


def _metadata(transcript: Transcript) -> Json:
    words_by_engine: Counter[str] = Counter()
    for segment in transcript.segments:
        words_by_engine[segment.engine.value] += segment.last_word - segment.first_word + 1
    # The transcript names one model. Where several engines wrote, it cannot be the model of each of them.
    name = transcript.model if len(words_by_engine) == 1 else None
    coverage = transcript.coverage
    return {
        "request_id": transcript.job_id,
        "duration": rounded(transcript.duration),
        "channels": 1,
        "models": list(words_by_engine),
        "model_info": {
            engine: {"name": name or engine, "arch": engine, "words": count}
            for engine, count in words_by_engine.items()
        },
        "coverage": {
            "audited": coverage.audited,
            "speech_seconds": rounded(coverage.speech_seconds),
            "covered_seconds": rounded(coverage.covered_seconds),
            "gaps": [
                {"start": rounded(gap.start), "end": rounded(gap.end), "reason": gap.reason} for gap in coverage.gaps
            ],
        },
    }


def _word(word: Word) -> Json:
    return {
        "word": plain_word(word.text),
        "start": rounded(word.start),
        "end": rounded(word.end),
        "confidence": word.confidence,
        "punctuated_word": word.text,
        **_speaker(word.speaker),
    }


def _paragraph(paragraph: Paragraph, segments: Sequence[Segment]) -> Json:
    inside = segments[paragraph.first_segment : paragraph.last_segment + 1]
    return {
        "sentences": [
            {"text": segment.text, "start": rounded(segment.start), "end": rounded(segment.end)} for segment in inside
        ],
        "num_words": inside[-1].last_word - inside[0].first_word + 1,
        "start": rounded(paragraph.start),
        "end": rounded(paragraph.end),
        **_speaker(paragraph.speaker),
    }


def _paragraphs_text(paragraphs: Sequence[Paragraph]) -> str:
    """Deepgram starts this text with a line break and names a speaker where the speaker changes."""
    speaker = None
    texts = []
    for paragraph in paragraphs:
        changed = paragraph.speaker is not None and paragraph.speaker != speaker
        texts.append(f"Speaker {paragraph.speaker}: {paragraph.text}" if changed else paragraph.text)
        speaker = paragraph.speaker
    return "\n" + "\n\n".join(texts) if texts else ""


def _utterance(name: str, segment: Segment, words: Sequence[Word], plain_words: Sequence[Json]) -> Json:
    inside = slice(segment.first_word, segment.last_word + 1)
    return {
        "start": rounded(segment.start),
        "end": rounded(segment.end),
        "confidence": _confidence(words[inside]),
        "channel": 0,
        "transcript": segment.text,
        "words": plain_words[inside],
        "id": name,
        **_speaker(segment.speaker),
    }


def _confidence(words: Sequence[Word]) -> float | None:
    """The mean of the confidences that are known; None where none is."""
    known = [word.confidence for word in words if word.confidence is not None]
    return fmean(known) if known else None


def _speaker(speaker: int | None) -> Json:
    return {} if speaker is None else {"speaker": speaker}
