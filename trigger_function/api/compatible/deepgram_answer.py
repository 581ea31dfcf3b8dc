"""A transcript in Deepgram's JSON, with as much in it as the request's parameters ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.messages import TerminalMessage
from shared.transcript.deepgram_json import to_deepgram
from shared.transcript.model import Transcript
from trigger_function.api.compatible.deepgram_request import DeepgramRequest

Json = dict[str, Any]


def to_deepgram_answer(transcript: Transcript, outcome: TerminalMessage, request: DeepgramRequest) -> Json:
    """The answer to a request that waited for it."""
    answer = to_deepgram(transcript)
    metadata, results = answer["metadata"], answer["results"]
    metadata["created"] = outcome.finished_at.isoformat().replace("+00:00", "Z")
    if request.extra:
        metadata["extra"] = dict(request.extra)
    if not request.utterances:
        del results["utterances"]
    for channel in results["channels"]:
        for alternative in channel["alternatives"]:
            if not request.paragraphs:
                del alternative["paragraphs"]
            if not request.punctuate:
                alternative["transcript"] = _plain(alternative["words"])
    if not request.punctuate:
        for utterance in results.get("utterances", []):
            utterance["transcript"] = _plain(utterance["words"])
        _drop_punctuated(results)
    return answer


def _plain(words: list[Mapping[str, Any]]) -> str:
    return " ".join(word["word"] for word in words)


def _drop_punctuated(results: Json) -> None:
    """Utterances have the same words as channels."""
    alternatives = [each for channel in results["channels"] for each in channel["alternatives"]]
    for holder in (*alternatives, *results.get("utterances", [])):
        for word in holder["words"]:
            word.pop("punctuated_word", None)
