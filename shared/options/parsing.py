"""The custom metadata of an object -> what its owner asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import inf, isfinite
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.enums import Channels, Method, Privacy
from shared.errors import Rejected
from shared.formats.languages import language_code
from shared.formats.tracks import ALL_TRACKS, RequestedTrack
from shared.keyterms.terms import FILE_NAME, Keyterm, is_keyterms_file, parse_keyterms
from shared.languages.choice import LanguageChoice, parse_language_choice
from shared.object_names import name_problem
from shared.options.metadata_keys import (
    CHANNELS_METADATA,
    DEADLINE_METADATA,
    FILLERS_METADATA,
    KEYTERMS_FILE_METADATA,
    KEYTERMS_METADATA,
    LANGUAGE_METADATA,
    MAX_COST_METADATA,
    METHOD_METADATA,
    MIN_COVERAGE_METADATA,
    NUMBERS_METADATA,
    PREFIX,
    PRIVACY_METADATA,
    PROFANITY_METADATA,
    REDACT_AUDIO_METADATA,
    REDACT_METADATA,
    REDACT_TERMS_METADATA,
    SECOND_OPINION_METADATA,
    SPEAKER_NAMES_METADATA,
    SPEAKERS_METADATA,
    SUBTITLES_METADATA,
    TRACK_METADATA,
    VIDEO_ID_METADATA,
    VOICES_METADATA,
    WEBHOOK_BODY_METADATA,
    WEBHOOK_METADATA,
)
from shared.options.model import (
    LONGEST_DEADLINE_MINUTES,
    MAX_WEBHOOK_CHARACTERS,
    MOST_SECOND_OPINION_USD,
    VOICES_OFF,
    UploadOptions,
    VideoId,
    VoicesOption,
    WebhookBody,
)
from shared.options.speaker_count import MOST_SPEAKERS, SpeakerCount, parse_speaker_count
from shared.options.speaker_names import speaker_names
from shared.options.subtitle_rules import (
    MAX_CHARS_PER_SECOND,
    MAX_COLUMNS,
    MAX_LINES,
    MAX_SECONDS,
    MIN_COLUMNS,
    SubtitleOptions,
)
from shared.options.text_options import Fillers, Numbers, Profanity
from shared.redaction.kinds import AudioMasking, Redact
from shared.redaction.request import parse_kinds, parse_terms
from shared.redaction.terms import MAX_TERM_CHARACTERS, MAX_TERMS


def parse_upload_options(metadata: Mapping[str, str]) -> UploadOptions:
    """An object's metadata -> its owner's options. Raises Rejected for a value that is not allowed."""
    metadata = _lower_keys(metadata)
    method, channels = _asked(metadata, METHOD_METADATA), _asked(metadata, CHANNELS_METADATA)
    body, audio = _asked(metadata, WEBHOOK_BODY_METADATA), _asked(metadata, REDACT_AUDIO_METADATA)
    privacy, track = _asked(metadata, PRIVACY_METADATA), _track(_asked(metadata, TRACK_METADATA))
    if track == ALL_TRACKS and channels == Channels.SPLIT:
        raise Rejected(f"{TRACK_METADATA}: all mixes tracks, and {CHANNELS_METADATA}: split takes one track.")
    return UploadOptions(
        method="auto" if method == "auto" else _word(METHOD_METADATA, method, Method, "auto") if method else None,
        channels=_word(CHANNELS_METADATA, channels, Channels) if channels else Channels.MIX,
        track=track,
        language=_language(_asked(metadata, LANGUAGE_METADATA)),
        subtitles=_subtitles(_asked(metadata, SUBTITLES_METADATA)),
        speakers=_speakers(_asked(metadata, SPEAKERS_METADATA)),
        speaker_names=_speaker_names(metadata.get(SPEAKER_NAMES_METADATA, "")),
        voices=_voices(metadata.get(VOICES_METADATA, "").strip()),
        keyterms=_keyterms(metadata.get(KEYTERMS_METADATA, "")),
        keyterms_file=_keyterms_file(metadata.get(KEYTERMS_FILE_METADATA, "").strip()),
        numbers=_word_if_asked(metadata, NUMBERS_METADATA, Numbers),
        fillers=_word_if_asked(metadata, FILLERS_METADATA, Fillers),
        profanity=_word_if_asked(metadata, PROFANITY_METADATA, Profanity),
        second_opinion_usd=_positive(metadata, SECOND_OPINION_METADATA, MOST_SECOND_OPINION_USD),
        min_coverage=_share(metadata, MIN_COVERAGE_METADATA),
        redact=_redact(_asked(metadata, REDACT_METADATA)),
        redact_terms=_redact_terms(metadata.get(REDACT_TERMS_METADATA, "")),
        redact_audio=_word(REDACT_AUDIO_METADATA, audio, AudioMasking) if audio else None,
        privacy=_word(PRIVACY_METADATA, privacy, Privacy) if privacy else Privacy.ANY,
        deadline_minutes=_positive(metadata, DEADLINE_METADATA, LONGEST_DEADLINE_MINUTES),
        max_cost_usd=_positive(metadata, MAX_COST_METADATA),
        video_id=_video_id(metadata.get(VIDEO_ID_METADATA, "").strip()),
        webhook=_webhook(metadata.get(WEBHOOK_METADATA, "").strip()),
        webhook_body=_word(WEBHOOK_BODY_METADATA, body, WebhookBody) if body else WebhookBody.OUTCOME,
    )


def _lower_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    """Tools change the case of keys, and a `Transcribe-Privacy` that is not found would send the file to an API."""
    lower: dict[str, str] = {}
    for key, value in metadata.items():
        if key.lower().startswith(PREFIX) and lower.get(key.lower(), value) != value:
            # Terms to redact are not quoted: nobody is to read them.
            quoted = f", as {lower[key.lower()]!r} and as {value!r}"
            shown = "" if key.lower() == REDACT_TERMS_METADATA else quoted
            raise Rejected(f"The file's {key.lower()} is given twice{shown}.")
        lower[key.lower()] = value
    return lower


def _asked(metadata: Mapping[str, str], key: str) -> str:
    return metadata.get(key, "").strip().lower()


def _video_id(value: str) -> str | None:
    """Its case counts."""
    if not value:
        return None
    try:
        return _VIDEO_ID.validate_python(value)
    except ValidationError:
        wanted = "letters, digits and ._~-, 128 at most"
        raise Rejected(f"The file's {VIDEO_ID_METADATA} is {value[:200]!r}; it has to be {wanted}.") from None


_VIDEO_ID = TypeAdapter(VideoId)

_Words = TypeVar("_Words", bound=StrEnum)


def _word(key: str, value: str, words: type[_Words], *others: str) -> _Words:
    try:
        return words(value)
    except ValueError:
        known = ", ".join([*others, *words])
        raise Rejected(f"The file's {key} is {value!r}; known are {known}.") from None


def _word_if_asked(metadata: Mapping[str, str], key: str, words: type[_Words]) -> _Words | None:
    value = _asked(metadata, key)
    return _word(key, value, words) if value else None


def _track(value: str) -> RequestedTrack | None:
    if value.isascii() and value.isdecimal() and int(value[:9]) > 0:
        return int(value[:9])
    if value and value != ALL_TRACKS and language_code(value) is None:
        wanted = f"a track's number from 1, a language such as de or deu, or {ALL_TRACKS}"
        raise Rejected(f"The file's {TRACK_METADATA} is {value!r}; it has to be {wanted}.")
    return value or None


def _language(value: str) -> LanguageChoice | None:
    try:
        return parse_language_choice(value) if value else None
    except ValueError as error:
        wanted = "a language such as de or pt-BR, several with commas between them, or auto"
        shown = value[:200]
        raise Rejected(f"The file's {LANGUAGE_METADATA} is {shown!r} ({error}); it has to be {wanted}.") from None


def _subtitles(value: str) -> SubtitleOptions | None:
    """`line=37,lines=2,min=1,max=6,cps=17`, or some of them."""
    if not value:
        return None
    pairs = [(key.strip(), number.strip()) for key, _, number in (part.partition("=") for part in value.split(","))]
    try:
        options = SubtitleOptions(**dict(pairs))
        is_right = len(dict(pairs)) == len(pairs) and dict(pairs).keys() <= SubtitleOptions.model_fields.keys()
    except ValidationError:
        is_right = False
    if not is_right or (options.min and options.max and options.min > options.max):
        limits = (
            f"a line of {MIN_COLUMNS} to {MAX_COLUMNS} columns, 1 to {MAX_LINES} lines, min and max of up to"
            f" {MAX_SECONDS:g} s, and up to {MAX_CHARS_PER_SECOND:g} characters a second"
        )
        example = "line=37,lines=2,min=1,max=6,cps=17"
        raise Rejected(f"The file's {SUBTITLES_METADATA} is {value!r}; it has to be like {example}, with {limits}.")
    return options


def _webhook(url: str) -> str | None:
    """As it is: a URL's letters may not be made small."""
    if not url:
        return None
    is_url = url.startswith(("https://", "http://")) and url.isascii() and url.isprintable() and " " not in url
    if not is_url or len(url) > MAX_WEBHOOK_CHARACTERS:
        # Not quoted: it may hold a secret.
        wanted = f"a URL, https://..., of at most {MAX_WEBHOOK_CHARACTERS} characters, in ASCII"
        raise Rejected(f"The file's {WEBHOOK_METADATA} is not one; it has to be {wanted}.")
    return url


def _speakers(value: str) -> SpeakerCount | None:
    try:
        return parse_speaker_count(value) if value else None
    except ValueError:
        wanted = f"on, off, a number such as 2, or a range such as 2-5, of at most {MOST_SPEAKERS}"
        raise Rejected(f"The file's {SPEAKERS_METADATA} is {value!r}; it has to be {wanted}.") from None


def _speaker_names(value: str) -> tuple[str, ...]:
    try:
        return speaker_names(value.split(",")) if value.strip() else ()
    except ValueError as error:
        wanted = f"{error}, with commas between them"
        raise Rejected(f"The file's {SPEAKER_NAMES_METADATA} is {value!r}; it has to be {wanted}.") from None


def _voices(value: str) -> str | None:
    """The case of a folder's name counts. `on` is what it is without."""
    if value.lower() in {"", "on", VOICES_OFF}:
        return VOICES_OFF if value.lower() == VOICES_OFF else None
    try:
        return _VOICES.validate_python(value)
    except ValidationError:
        wanted = f"{VOICES_OFF}, or in a rule the name of a first folder of the uploads bucket"
        raise Rejected(f"The file's {VOICES_METADATA} is {value[:200]!r}; it has to be {wanted}.") from None


_VOICES = TypeAdapter(VoicesOption)


def _keyterms(value: str) -> tuple[Keyterm, ...]:
    """Their case counts."""
    try:
        return parse_keyterms(value)
    except ValueError as error:
        example = "Parakeet:2; Cloud Run"
        raise Rejected(f"The file's {KEYTERMS_METADATA} cannot be used: {error}. It is like {example}.") from None


def _keyterms_file(name: str) -> str | None:
    if not name:
        return None
    if name_problem(name) is not None or not is_keyterms_file(name):
        wanted = f"the name of an object in the upload's bucket: {FILE_NAME}, or one that ends with .{FILE_NAME}"
        raise Rejected(f"The file's {KEYTERMS_FILE_METADATA} is {name[:200]!r}; it has to be {wanted}.")
    return name


def _redact(value: str) -> tuple[Redact, ...]:
    try:
        return parse_kinds(value)
    except ValueError:
        known = f"{', '.join(Redact)}, or some of them with commas between them"
        raise Rejected(f"The file's {REDACT_METADATA} is {value!r}; known are {known}.") from None


def _redact_terms(value: str) -> tuple[str, ...]:
    try:
        return parse_terms(value)
    except ValueError:
        # Not quoted: nobody is to read them.
        wanted = (
            f"up to {MAX_TERMS} phrases of up to {MAX_TERM_CHARACTERS} characters with commas between them, of words"
            " with a letter, a digit or #"
        )
        raise Rejected(f"The file's {REDACT_TERMS_METADATA} are no terms; they have to be {wanted}.") from None


def _positive(metadata: Mapping[str, str], key: str, most: float = inf) -> float | None:
    value = _asked(metadata, key)
    if not value:
        return None
    try:
        number = float(value.removeprefix("$"))
    except ValueError:
        number = 0.0
    if not (isfinite(number) and 0 < number <= most):
        limit = f" and up to {most:g}" if isfinite(most) else ""
        raise Rejected(f"The file's {key} is {value!r}; it has to be a number above 0{limit}.")
    return number


def _share(metadata: Mapping[str, str], key: str) -> float | None:
    """`0.98` or `98%`."""
    value = _asked(metadata, key)
    if not value:
        return None
    try:
        number = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:  # nor NaN
        raise Rejected(f"The file's {key} is {value[:200]!r}; it has to be a share such as 0.98 or 98%, up to 1.")
    return number
