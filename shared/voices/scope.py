"""Which uploads have voices, and whose they are compared with. Pure."""

from __future__ import annotations

from shared.options.model import VOICES_OFF, UploadOptions
from shared.redaction.kinds import Redact
from shared.state.ledger_entry import folder_of


def voice_folder(options: UploadOptions, name: str) -> str | None:
    """The folder of kept voices for an upload of this name: that of its rule, else its own first folder, which is also
    what a key of the API is for. None: its speakers are compared with nobody, and no voice of theirs is stored.

    Where personal data is redacted, a name that nobody asked for would be some.
    """
    if options.speakers is None or options.voices == VOICES_OFF or Redact.PII in options.redaction.kinds:
        return None
    return folder_of(name) if options.voices is None else options.voices
