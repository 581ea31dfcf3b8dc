"""Names of the people who speak: as an option, or in a file beside the recording."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import Rejected
from shared.options.speaker_count import MOST_SPEAKERS

LONGEST_NAME = 80
"""Characters of a speaker's name."""

SpeakerName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]

FILE_NAME = "speakers.json"
"""What the name of a file of names is or, behind a dot, ends with: such objects are no uploads."""

MAX_FILE_BYTES = 64 * 1024
"""Of a file of names: 50 names of 80 characters are 16 KB in UTF-8, and 48 KB with each character escaped."""


class _SpeakersFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    speakers: list[str]


def is_speakers_file(name: str) -> bool:
    """Whether an object has names of speakers, and is not transcribed: `speakers.json`, `call.mp3.speakers.json`."""
    file = name.rpartition("/")[2].lower()
    return file == FILE_NAME or file.endswith(f".{FILE_NAME}")


def speakers_files_of(upload_name: str) -> tuple[str, str]:
    """Where an upload's names may stand, the first that is there: a file of its own, or one of its folder."""
    folder, slash, _ = upload_name.rpartition("/")
    return f"{upload_name}.{FILE_NAME}", f"{folder}{slash}{FILE_NAME}"


def parse_speakers_file(name: str, content: bytes) -> tuple[SpeakerName, ...]:
    """`{"speakers": ["Ann", "Ben"]}` in UTF-8 -> the names. Raises Rejected, which says what is wrong."""
    if len(content) > MAX_FILE_BYTES:
        raise Rejected(f"The speakers' names in {name[:200]!r} are longer than {MAX_FILE_BYTES // 1024} KiB.")
    try:
        names = _SpeakersFile.model_validate_json(content.decode("utf-8-sig")).speakers
    except (UnicodeDecodeError, ValidationError):
        wanted = '{"speakers": ["Ann", "Ben"]}, in UTF-8'
        raise Rejected(f"The speakers' names in {name[:200]!r} cannot be read: it has to be {wanted}.") from None
    try:
        return speaker_names(names)
    except ValueError as error:
        raise Rejected(f"The speakers' names in {name[:200]!r}: it has to be {error}, without commas.") from None


def speaker_names(names: Iterable[str]) -> tuple[SpeakerName, ...]:
    """The names with single spaces. Raises ValueError, with what they have to be."""
    found = tuple(" ".join(name.split()) for name in names)
    # A comma stands between names in an object's metadata.
    if len(found) > MOST_SPEAKERS or not all(
        0 < len(name) <= LONGEST_NAME and name.isprintable() and "," not in name for name in found
    ):
        raise ValueError(f"up to {MOST_SPEAKERS} names of up to {LONGEST_NAME} characters")
    return found
