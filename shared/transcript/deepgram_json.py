"""The transcript in the shape of Deepgram's /v1/listen response, for programs that already read that.

Only what is known: no `created`, no `sha256`; a confidence that the engine did not give is null, so that the key is
there without a made-up number. `metadata.coverage` is our addition.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

from shared.transcript.json_files.pieces import Items, with_lists
from shared.transcript.model import Paragraph, Segment, Transcript
from shared.transcript.spacing import join_words
from shared.transcript.timestamps import rounded

Json = dict[str, Any]


WordAt = Callable[[int], Json]
"""The word at a place in the transcript, in Deepgram's shape."""


def to_deepgram(transcript: Transcript) -> Json:
    """Deepgram's response to `punctuate`, `paragraphs` and `utterances`; to `multichannel` where channels were
    transcribed each by itself, and else to `diarize` where speakers are known."""
    make = _words_of(transcript)
    words = [make(index) for index in range(len(transcript.words))]
    response: Json = with_lists(_response(transcript, words.__getitem__))
    return response


def deepgram_json(transcript: Transcript) -> Json:
    """The same, with `Items` in it: each word is made where it is written, twice."""
    return _response(transcript, _words_of(transcript))


def _words_of(transcript: Transcript) -> WordAt:
    is_multichannel, words = transcript.channels > 1, transcript.words
    plain = {text: plain_word(text) for text in set(words.texts)}

    def word_at(index: int) -> Json:
        text = words.texts[index]
        return {
            "word": plain[text],
            "start": rounded(words.starts[index]),
            "end": rounded(words.ends[index]),
            "confidence": words.confidence(index),
            "punctuated_word": text,
            **_speaker(None if is_multichannel else words.speakers[index]),
        }

    return word_at


def _response(transcript: Transcript, words: WordAt) -> Json:
    is_multichannel = transcript.channels > 1
    return {
        "metadata": _metadata(transcript),
        "results": {
            "channels": [
                {
                    "alternatives": [_alternative(transcript, words, channel if is_multichannel else None)],
                    **_detected_language(transcript, channel if is_multichannel else None),
                }
                for channel in range(transcript.channels)
            ],
            "utterances": Items(
                lambda: (
                    _utterance(f"{transcript.job_id}-{index}", segment, transcript, words)
                    for index, segment in enumerate(transcript.segments)
                )
            ),
        },
    }


def _alternative(transcript: Transcript, words: WordAt, channel: int | None) -> Json:
    """What was said in a channel; None: in the only one, by all speakers."""
    indexes: Sequence[int] = range(len(transcript.words))
    paragraphs = transcript.paragraphs
    text = transcript.text
    if channel is not None:
        indexes = [index for index, speaker in enumerate(transcript.words.speakers) if speaker == channel]
        paragraphs = tuple(paragraph for paragraph in paragraphs if paragraph.speaker == channel)
        text = join_words(paragraph.text for paragraph in paragraphs)
    return {
        "transcript": text,
        "confidence": _confidence(map(transcript.words.confidence, indexes)),
        "words": Items(lambda: map(words, indexes)),
        "paragraphs": {
            "transcript": _paragraphs_text(paragraphs, name_speakers=channel is None),
            "paragraphs": Items(lambda: (_paragraph(paragraph, transcript) for paragraph in paragraphs)),
        },
    }


def _detected_language(transcript: Transcript, channel: int | None) -> Json:
    """As Deepgram's `detect_language` has it: of most words of a channel, where the language was to be found."""
    words: Counter[str] = Counter()
    for segment in transcript.segments:
        if segment.language is not None and channel in (None, segment.speaker):
            words[segment.language] += len(segment.word_indexes(transcript.words))
    if not words:
        return {}
    found: Json = {"detected_language": words.most_common(1)[0][0]}
    if transcript.language_confidence is not None and found["detected_language"] == transcript.language:
        found["language_confidence"] = transcript.language_confidence
    return found


def bare_word(text: str) -> str:
    """Without punctuation at either end; a word of nothing but punctuation stays as it is."""
    first, after = 0, len(text)
    while first < after and unicodedata.category(text[first]).startswith("P"):
        first += 1
    while after > first and unicodedata.category(text[after - 1]).startswith("P"):
        after -= 1
    return text[first:after] or text


def plain_word(text: str) -> str:
    """Lower case, without punctuation at either end; a word of nothing but punctuation stays as it is."""
    return bare_word(text).lower()


def _metadata(transcript: Transcript) -> Json:
    words_by_engine: Counter[str] = Counter()
    for segment in transcript.segments:
        words_by_engine[segment.engine.value] += len(segment.word_indexes(transcript.words))
    # The transcript names one model. Where several engines wrote, it cannot be the model of each of them.
    name = transcript.model if len(words_by_engine) == 1 else None
    coverage = transcript.coverage
    return {
        "request_id": transcript.job_id,
        "duration": rounded(transcript.duration),
        "channels": transcript.channels,
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


def _paragraph(paragraph: Paragraph, transcript: Transcript) -> Json:
    inside = transcript.segments[paragraph.first_segment : paragraph.last_segment + 1]
    return {
        "sentences": [
            {"text": segment.text, "start": rounded(segment.start), "end": rounded(segment.end)} for segment in inside
        ],
        "num_words": sum(len(segment.word_indexes(transcript.words)) for segment in inside),
        "start": rounded(paragraph.start),
        "end": rounded(paragraph.end),
        **_speaker(paragraph.speaker if transcript.channels == 1 else None),
    }


def _paragraphs_text(paragraphs: Sequence[Paragraph], *, name_speakers: bool) -> str:
    """Deepgram starts this text with a line break and names a speaker where the speaker changes."""
    speaker = None
    texts = []
    for paragraph in paragraphs:
        changed = name_speakers and paragraph.speaker is not None and paragraph.speaker != speaker
        texts.append(f"Speaker {paragraph.speaker}: {paragraph.text}" if changed else paragraph.text)
        speaker = paragraph.speaker
    return "\n" + "\n\n".join(texts) if texts else ""


def _utterance(name: str, segment: Segment, transcript: Transcript, words: WordAt) -> Json:
    indexes = segment.word_indexes(transcript.words)
    is_multichannel = transcript.channels > 1
    return {
        "start": rounded(segment.start),
        "end": rounded(segment.end),
        "confidence": _confidence(map(transcript.words.confidence, indexes)),
        "channel": segment.speaker if is_multichannel else 0,
        "transcript": segment.text,
        "words": [words(index) for index in indexes],
        "id": name,
        **({} if segment.language is None else {"languages": [segment.language]}),
        **_speaker(None if is_multichannel else segment.speaker),
    }


def _confidence(confidences: Iterable[float | None]) -> float | None:
    """The mean of those that are known; None where none is."""
    known = array("d", (one for one in confidences if one is not None))
    return fmean(known) if known else None


def _speaker(speaker: int | None) -> Json:
    return {} if speaker is None else {"speaker": speaker}
