"""The form of `POST /v1/audio/transcriptions`, as OpenAI's clients send it, without the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount
from shared.settings.deployment import DeploymentSettings
from trigger_function.api.compatible.requested import refuse, requested_language, requested_method, shown

OPENAI_MODELS = re.compile(r"whisper-1|gpt(-4o)?(-mini)?-transcribe(-diarize)?(-\d{4}-\d\d-\d\d)?")
"""What OpenAI's clients name."""

IGNORED = frozenset({"prompt", "temperature", "chunking_strategy", "keywords", "languages"})
"""Hints: Parakeet is not prompted, and decodes greedily in chunks of its own."""
REFUSED = frozenset({"include", "known_speaker_names", "known_speaker_references"})
"""What would change the answer: log probabilities, and speakers known by recordings of theirs."""
_KNOWN = frozenset({"model", "language", "response_format", "timestamp_granularities", "stream", *IGNORED, *REFUSED})


class Format(StrEnum):
    """Of the answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"
    DIARIZED_JSON = "diarized_json"
    """Segments with their speakers."""


class Granularity(StrEnum):
    """What VERBOSE_JSON lists."""

    WORD = "word"
    SEGMENT = "segment"


@dataclass(frozen=True)
class OpenAiRequest:
    """What was asked for."""

    options: UploadOptions
    format: Format
    granularities: frozenset[Granularity]
    ignored: tuple[str, ...]


def options_of_fields(fields: Sequence[tuple[str, str]], settings: DeploymentSettings) -> UploadOptions:
    """The upload's options as far as the fields say. Raises Problem."""
    models = [value for name, value in fields if name == "model"]
    languages = [value.strip() for name, value in fields if name == "language"]
    wants_speakers = ("response_format", Format.DIARIZED_JSON) in [(name, value.strip()) for name, value in fields]
    return UploadOptions(
        method=requested_method(models[0] if models else None, OPENAI_MODELS),
        speakers=SpeakerCount() if wants_speakers else None,
        language=requested_language(languages[0] if languages else None, settings),
    )


def parse_request(fields: Sequence[tuple[str, str]], settings: DeploymentSettings) -> OpenAiRequest:
    """All fields of the form, lists as `name[]` or repeated. Raises Problem."""
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(re.sub(r"\[.*\]$", "", name), []).append(value)
    if unknown := sorted(values.keys() - _KNOWN):
        refuse(unknown[0], f"Unrecognized request argument supplied: {shown(unknown[0])}.")
    for name, given in sorted(values.items()):
        if name in REFUSED:
            refuse(name, f"{name} is not supported here.")
        if len(given) > 1 and name not in ("timestamp_granularities", *IGNORED):
            refuse(name, f"{name} is given more than once.")
    if "model" not in values:
        refuse("model", "you must provide a model parameter")
    if _one(values, "stream").lower() not in ("", "false"):
        refuse("stream", "stream is not supported here: the answer comes as a whole.")
    _check_temperature(_one(values, "temperature"))
    answer = _format(_one(values, "response_format"))
    granularities = _granularities(values.get("timestamp_granularities", []))
    if granularities and answer is not Format.VERBOSE_JSON:
        refuse("timestamp_granularities", "timestamp_granularities take the response_format verbose_json.")
    return OpenAiRequest(
        options=options_of_fields(fields, settings),
        format=answer,
        granularities=granularities or frozenset({Granularity.SEGMENT}),
        ignored=tuple(name for name in sorted(values) if name in IGNORED and any(values[name])),
    )


def _one(values: Mapping[str, Sequence[str]], name: str) -> str:
    given = values.get(name)
    return given[0].strip() if given else ""


def _check_temperature(value: str) -> None:
    try:
        number = float(value or 0.0)
    except ValueError:
        number = -1.0
    if not (isfinite(number) and 0 <= number <= 1):
        refuse("temperature", f"temperature has to be a number from 0 to 1, and is {shown(value)}.")


def _format(value: str) -> Format:
    try:
        return Format(value or Format.JSON)
    except ValueError:
        known = ", ".join(Format)
        refuse("response_format", f"response_format is {shown(value)}; it has to be one of {known}.")


def _granularities(values: Sequence[str]) -> frozenset[Granularity]:
    try:
        return frozenset(map(Granularity, values))
    except ValueError:
        refuse("timestamp_granularities", f"timestamp_granularities have to be of {', '.join(Granularity)}.")
