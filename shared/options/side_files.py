"""Objects that say something about uploads and are none themselves."""

from __future__ import annotations

from shared.keyterms.terms import is_keyterms_file
from shared.options.speaker_names import is_speakers_file


def side_file_kind(name: str) -> str | None:
    """What such an object is, by its name; None of all others."""
    if is_keyterms_file(name):
        return "list of key terms"
    return "names of speakers" if is_speakers_file(name) else None
