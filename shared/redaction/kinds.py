"""What is redacted, and what is heard instead. Without a library: the command line's help needs the words."""

from __future__ import annotations

from enum import StrEnum


class Redact(StrEnum):
    """What is looked for."""

    PII = "pii"
    """Names, phone numbers, e-mail and street addresses, cards, accounts and other numbers of a person."""
    NUMBERS = "numbers"
    """Every number, whatever it says."""
    CUSTOM = "custom"
    """The terms that are given."""


class AudioMasking(StrEnum):
    """What is heard in the place of redacted words."""

    OFF = "off"
    """No redacted audio is made."""
    MUTE = "mute"
    BEEP = "beep"
