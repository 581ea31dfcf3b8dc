"""The parameters of `POST /v1/listen`, as Deepgram's clients send them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.enums import Channels, Privacy
from shared.errors import validation_message
from shared.keyterms.terms import Keyterm, merged
from shared.languages.choice import AUTO, MULTI, LanguageChoice
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount
from shared.options.text_options import Fillers, Numbers, Profanity
from shared.redaction.kinds import AudioMasking, Redact
from trigger_function.api.compatible.requested import refuse, requested_language, requested_method, shown
from trigger_function.settings.function import FunctionSettings

DEEPGRAM_MODELS = re.compile(r"(nova(-[23])?|enhanced|base|whisper|flux)(-[a-z]+)*")
"""Names of Deepgram's models, with what follows them: `nova-2-meeting`. Which one is used is a setting here."""

_FLAGS = frozenset(
    {
        *("diarize", "filler_words", "mip_opt_out", "multichannel", "numerals", "paragraphs", "profanity_filter"),
        *("punctuate", "smart_format", "utterances"),
    }
)
"""Done."""
IGNORED = frozenset({"keywords", "language_hint", "tag", "version"})
"""Hints, and labels of bills that are not ours."""
_REFUSED_FLAGS = frozenset(
    {
        *("alternatives", "callback_method", "channels", "custom_intent", "custom_intent_mode", "custom_topic"),
        *("custom_topic_mode", "detect_entities", "detect_topics", "diarize_version"),
        *("dictation", "encoding", "intents", "measurements"),
        *("replace", "sample_rate", "search", "sentiment", "summarize", "topics"),
        *("translate", "utt_split"),
    }
)
"""What would change the answer and is not done; as good as absent where it is false."""
_DEFAULTS = {"alternatives": "1", "callback_method": "post", "utt_split": "0.8"}
"""Deepgram's own, which are what is done."""
_REPEATED = frozenset({"detect_language", "extra", "keywords", "keyterm", "language_hint", "redact", "tag"})
_DIARIZE_MODELS = frozenset({"latest", "v1", "v2"})
"""All of them are this deployment's own way to tell speakers apart."""
_OTHERS = frozenset(
    {"model", "language", "detect_language", "callback", "diarize_model", "extra", "keyterm", "redact", "tier"}
)
_KNOWN = _FLAGS | IGNORED | _REFUSED_FLAGS | _OTHERS

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})
MAX_EXTRAS = 20
MAX_EXTRA_CHARACTERS = 512


class UrlBody(BaseModel):
    """A body that names a recording instead of being one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str


@dataclass(frozen=True)
class DeepgramRequest:
    """What was asked for."""

    options: UploadOptions
    punctuate: bool
    paragraphs: bool
    utterances: bool
    callback: str | None
    extra: Mapping[str, str]
    """Given back in the answer's metadata."""
    ignored: tuple[str, ...]


def parse_parameters(query: Mapping[str, Sequence[str]], settings: FunctionSettings) -> DeepgramRequest:
    """Raises Problem for what is unknown, contradictory, or not done here."""
    if unknown := sorted(query.keys() - _KNOWN):
        refuse(unknown[0], f"The parameter {shown(unknown[0])} is not known.")
    for name, given in sorted(query.items()):
        if len(given) > 1 and name not in _REPEATED:
            refuse(name, f"The parameter {name} is given more than once.")
        if name in _REFUSED_FLAGS and given[0].strip().lower() not in _FALSE | {_DEFAULTS.get(name)}:
            refuse(name, f"{name} is not supported here.{_INSTEAD.get(name, '')}")
    flags = {name: _flag(name, query.get(name, ["false"])[0]) for name in _FLAGS}
    model = query.get("model", [""])[0].strip()
    leaves = flags["mip_opt_out"] and not settings.deepgram_mip_opt_out
    return DeepgramRequest(
        options=UploadOptions(
            method=requested_method(model or None, DEEPGRAM_MODELS),
            channels=Channels.SPLIT if flags["multichannel"] else Channels.MIX,
            keyterms=_keyterms(query.get("keyterm", [])),
            language=_language(query, settings),
            speakers=SpeakerCount() if flags["diarize"] or _has_diarize_model(query) else None,
            numbers=Numbers.WRITTEN if flags["numerals"] else None,
            fillers=(Fillers.KEEP if flags["filler_words"] else Fillers.DROP) if "filler_words" in query else None,
            profanity=Profanity.MASK if flags["profanity_filter"] else None,
            redact=_redact(query.get("redact", [])),
            # Deepgram answers with words alone.
            redact_audio=AudioMasking.OFF if "redact" in query else None,
            # What may not be used for training would be, by the deployment's settings: so it stays here.
            privacy=Privacy.LOCAL if leaves else Privacy.ANY,
        ),
        punctuate=flags["punctuate"] or flags["smart_format"] or flags["paragraphs"],
        paragraphs=flags["paragraphs"] or flags["smart_format"],
        utterances=flags["utterances"],
        callback=query.get("callback", [""])[0].strip() or None,
        extra=_extra(query.get("extra", [])),
        ignored=tuple(sorted(query.keys() & (IGNORED | {"tier"}))),
    )


_INSTEAD = {
    "encoding": " Send a file with a header, such as WAV.",
    "sample_rate": " Send a file with a header, such as WAV.",
}


def _has_diarize_model(query: Mapping[str, Sequence[str]]) -> bool:
    model = query.get("diarize_model", [""])[0].strip().lower()
    if model and model not in _DIARIZE_MODELS:
        refuse("diarize_model", f"diarize_model has to be one of {', '.join(sorted(_DIARIZE_MODELS))}.")
    return bool(model)


def _keyterms(given: Sequence[str]) -> tuple[Keyterm, ...]:
    """Each is a phrase as it stands, without a weight, as at Deepgram."""
    try:
        return merged(Keyterm(phrase=text) for text in given if text.strip())
    except ValidationError as error:
        refuse("keyterm", f"keyterm: {validation_message(error)}")
    except ValueError as error:
        refuse("keyterm", f"keyterm: {error}.")


def _language(query: Mapping[str, Sequence[str]], settings: FunctionSettings) -> LanguageChoice | None:
    """`language`, or `detect_language`: true, or the languages among which it is to be found."""
    language, detected = (
        query.get("language", [""])[0].strip(),
        [one.strip() for one in query.get("detect_language", [])],
    )
    if len(detected) > 1 or (detected and detected[0].lower() not in _TRUE | _FALSE):
        return requested_language(",".join(detected), settings, "detect_language")
    if detected and detected[0].lower() in _TRUE:
        return requested_language(AUTO, settings, "detect_language")
    return requested_language(AUTO if language.lower() == MULTI else language, settings)


def _redact(given: Sequence[str]) -> tuple[Redact, ...]:
    asked = {value.strip().lower() for value in given} - _FALSE
    known = (Redact.PII, Redact.NUMBERS)
    if not asked <= set(known):
        refuse("redact", f"redact has to be some of {', '.join(known)}.")
    return tuple(kind for kind in known if kind in asked)


def _flag(name: str, value: str) -> bool:
    text = value.strip().lower()
    if text not in _TRUE | _FALSE:
        refuse(name, f"{name} has to be true or false, and is {shown(value)}.")
    return text in _TRUE


def _extra(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition(":") for text in given]
    if len(pairs) > MAX_EXTRAS or any(len(text) > MAX_EXTRA_CHARACTERS for text in given):
        refuse("extra", f"extra may be given {MAX_EXTRAS} times, with {MAX_EXTRA_CHARACTERS} characters each.")
    if any(not key or not colon for key, colon, _ in pairs):
        refuse("extra", "extra has to be KEY:VALUE.")
    return {key: value for key, _, value in pairs}
