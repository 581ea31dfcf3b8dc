"""What can be requested for an upload, as options of a command: `run` and `submit` take the same."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_type_hints

import typer

from shared.enums import Channels, Privacy
from shared.options.metadata_keys import PREFIX
from shared.options.text_options import Fillers, Numbers, Profanity
from shared.redaction.kinds import AudioMasking

if TYPE_CHECKING:
    from shared.options.model import UploadOptions


class MethodChoice(StrEnum):
    """What `--method` takes."""

    AUTO = "auto"
    PARAKEET = "parakeet"
    HYBRID = "hybrid"
    DEEPGRAM = "deepgram"


@dataclass(frozen=True)
class UploadFlags:
    """The flags that a command gets from `takes_upload_flags`, each named as its key of an upload's metadata."""

    channels: Annotated[Channels, typer.Option("--channels", help="All together, or each as one speaker.")] = (
        Channels.MIX
    )
    track: Annotated[
        str, typer.Option("--track", help="Audio track: its number from 1, a language, or all, mixed.", metavar="TRACK")
    ] = ""
    language: Annotated[
        str, typer.Option("--language", help="That is spoken: de, pt-BR; several: de,en; or auto.", metavar="LANGUAGE")
    ] = ""
    subtitles: Annotated[
        str, typer.Option("--subtitles", help="Some of line=37,lines=2,min=1,max=6,cps=17.", metavar="RULES")
    ] = ""
    speakers: Annotated[
        str, typer.Option("--speakers", help="Tell who speaks: on, or how many: 2, 2-5.", metavar="COUNT")
    ] = ""
    speaker_names: Annotated[
        str, typer.Option("--speaker-names", help="In the order in which they are first heard.", metavar="NAME,NAME")
    ] = ""
    voices: Annotated[
        Literal["off"] | None,
        typer.Option("--voices", help="Compare no speaker with kept voices.", show_default="the folder's, if kept"),
    ] = None
    numbers: Annotated[
        Numbers | None,
        typer.Option("--numbers", help="Numbers in words, or in digits.", show_default="as the engine does"),
    ] = None
    fillers: Annotated[
        Fillers | None, typer.Option("--fillers", help="Keep or drop uh and um.", show_default="as the engine does")
    ] = None
    profanity: Annotated[
        Profanity | None, typer.Option("--profanity", help="Keep or mask swear words.", show_default="keep")
    ] = None
    keyterms: Annotated[
        str,
        typer.Option(
            "--keyterms",
            help="Names and words to favour: 'Parakeet:2; Cloud Run', or @FILE, one a line.",
            metavar="TERMS",
        ),
    ] = ""
    second_opinion: Annotated[
        float | None,
        typer.Option(
            "--second-opinion", help="Most for what another engine hears of doubtful words.", metavar="DOLLARS"
        ),
    ] = None
    min_coverage: Annotated[
        str,
        typer.Option(
            "--min-coverage", help="Below this share of speech with words, ask another engine.", metavar="SHARE"
        ),
    ] = ""
    redact: Annotated[
        str, typer.Option("--redact", help="Leave out of all results: some of pii,numbers,custom.", metavar="KINDS")
    ] = ""
    redact_terms: Annotated[
        str, typer.Option("--redact-terms", help="Phrases to leave out: acme*, order ####.", metavar="TERM,TERM")
    ] = ""
    redact_audio: Annotated[
        AudioMasking | None,
        typer.Option("--redact-audio", help="In redacted.ogg, in their place; off: no such file.", show_default="mute"),
    ] = None


NOTHING_ASKED = UploadFlags()
"""No flag is given."""


def takes_upload_flags(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the fields of `UploadFlags` as parameters, in the place of its own parameter `flags`."""
    hints = get_type_hints(UploadFlags, include_extras=True)
    flags = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(UploadFlags)
    ]
    own = inspect.signature(command, eval_str=True).parameters
    parameters = [
        shown
        for name, parameter in own.items()
        for shown in (flags if name == "flags" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)])
    ]

    @functools.wraps(command)
    def with_flags(**given: object) -> None:
        of_upload = {flag.name: given.pop(flag.name) for flag in flags}
        command(flags=UploadFlags(**of_upload), **given)  # type: ignore[arg-type]  # typer has checked each

    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_flags


def upload_options(
    flags: UploadFlags,
    method: MethodChoice | None,
    privacy: Privacy | None,
    *,
    deadline_minutes: float | None = None,
    max_cost: float | None = None,
) -> UploadOptions:
    """What was asked for, checked. `method`: None: the deployment's. `max_cost`: in USD. Raises typer.BadParameter."""
    from shared.errors import Rejected
    from shared.options.parsing import parse_upload_options

    asked = {
        **asdict(flags),
        "keyterms": _terms(flags.keyterms),
        "method": method,
        "privacy": privacy,
        "deadline_minutes": deadline_minutes,
        "max_cost": max_cost,
    }
    try:
        return parse_upload_options(
            {PREFIX + name.replace("_", "-"): str(value) for name, value in asked.items() if value is not None}
        )
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
