"""What can be requested for an upload, as options of a command: `run` and `submit` take the same."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shared.enums import Channels, Privacy
from shared.options.text_options import Fillers, Numbers, Profanity, TextOptions
from shared.redaction.kinds import AudioMasking

if TYPE_CHECKING:
    from shared.options.model import UploadOptions


class MethodChoice(StrEnum):
    """What `--method` takes."""

    AUTO = "auto"
    PARAKEET = "parakeet"
    HYBRID = "hybrid"
    DEEPGRAM = "deepgram"


MethodOption = Annotated[MethodChoice, typer.Option("--method", help="Method for all files, instead of routing each.")]
ChannelsOption = Annotated[Channels, typer.Option("--channels", help="All together, or each as one speaker.")]
TrackOption = Annotated[
    str, typer.Option("--track", help="Audio track: its number from 1, a language, or all, mixed.", metavar="TRACK")
]
SubtitlesOption = Annotated[
    str, typer.Option("--subtitles", help="Some of line=37,lines=2,min=1,max=6,cps=17.", metavar="RULES")
]

LanguageOption = Annotated[
    str, typer.Option("--language", help="That is spoken: de, pt-BR; several: de,en; or auto.", metavar="LANGUAGE")
]
SpeakersOption = Annotated[
    str, typer.Option("--speakers", help="Tell who speaks: on, or how many: 2, 2-5.", metavar="COUNT")
]
SpeakerNamesOption = Annotated[
    str, typer.Option("--speaker-names", help="In the order in which they are first heard.", metavar="NAME,NAME")
]
NumbersOption = Annotated[
    Numbers | None, typer.Option("--numbers", help="Numbers in words, or in digits.", show_default="as the engine does")
]
FillersOption = Annotated[
    Fillers | None, typer.Option("--fillers", help="Keep or drop uh and um.", show_default="as the engine does")
]
ProfanityOption = Annotated[
    Profanity | None, typer.Option("--profanity", help="Keep or mask swear words.", show_default="keep")
]
KeytermsOption = Annotated[
    str,
    typer.Option(
        "--keyterms", help="Names and words to favour: 'Parakeet:2; Cloud Run', or @FILE, one a line.", metavar="TERMS"
    ),
]
SecondOpinionOption = Annotated[
    float | None,
    typer.Option("--second-opinion", help="Most for what another engine hears of doubtful words.", metavar="DOLLARS"),
]

RedactOption = Annotated[
    str, typer.Option("--redact", help="Leave out of all results: some of pii,numbers,custom.", metavar="KINDS")
]
RedactTermsOption = Annotated[
    str, typer.Option("--redact-terms", help="Phrases to leave out: acme*, order ####.", metavar="TERM,TERM")
]
RedactAudioOption = Annotated[
    AudioMasking | None,
    typer.Option("--redact-audio", help="In redacted.ogg, in their place; off: no such file.", show_default="mute"),
]


def upload_options(
    method: MethodChoice | None,
    channels: Channels,
    track: str,
    subtitles: str,
    privacy: Privacy | None,
    *,
    language: str = "",
    speakers: str = "",
    speaker_names: str = "",
    text: TextOptions | None = None,
    keyterms: str = "",
    second_opinion_usd: float | None = None,
    redact: str = "",
    redact_terms: str = "",
    redact_audio: AudioMasking | None = None,
    deadline_minutes: float | None = None,
    max_cost_usd: float | None = None,
) -> UploadOptions:
    """What was asked for, checked. `method`: None: the deployment's. Raises typer.BadParameter."""
    text = text or TextOptions()
    from shared.errors import Rejected
    from shared.options.metadata_keys import (
        CHANNELS_METADATA,
        DEADLINE_METADATA,
        FILLERS_METADATA,
        KEYTERMS_METADATA,
        LANGUAGE_METADATA,
        MAX_COST_METADATA,
        METHOD_METADATA,
        NUMBERS_METADATA,
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
    )
    from shared.options.parsing import parse_upload_options

    asked = {
        METHOD_METADATA: method or "",
        CHANNELS_METADATA: channels,
        PRIVACY_METADATA: privacy or "",
        TRACK_METADATA: track,
        LANGUAGE_METADATA: language,
        SUBTITLES_METADATA: subtitles,
        SPEAKERS_METADATA: speakers,
        SPEAKER_NAMES_METADATA: speaker_names,
        NUMBERS_METADATA: text.numbers or "",
        FILLERS_METADATA: text.fillers or "",
        PROFANITY_METADATA: text.profanity or "",
        KEYTERMS_METADATA: _terms(keyterms),
        SECOND_OPINION_METADATA: "" if second_opinion_usd is None else str(second_opinion_usd),
        REDACT_METADATA: redact,
        REDACT_TERMS_METADATA: redact_terms,
        REDACT_AUDIO_METADATA: redact_audio or "",
        DEADLINE_METADATA: "" if deadline_minutes is None else str(deadline_minutes),
        MAX_COST_METADATA: "" if max_cost_usd is None else str(max_cost_usd),
    }
    try:
        return parse_upload_options(asked)
    except Rejected as error:
        raise typer.BadParameter(error.reason) from None


def _terms(given: str) -> str:
    """What was given, or what stands in the file that was named. Raises typer.BadParameter."""
    from shared.errors import Rejected
    from shared.keyterms.terms import MOST_FILE_BYTES, joined, parse_keyterms_file

    if not given.startswith("@"):
        return given
    try:
        with Path(given[1:]).open("rb") as file:
            return joined(parse_keyterms_file(given[1:], file.read(MOST_FILE_BYTES + 1)))
    except OSError as error:
        raise typer.BadParameter(f"{given[1:]}: {error.strerror}") from None
    except Rejected as error:
        raise typer.BadParameter(error.reason) from None
