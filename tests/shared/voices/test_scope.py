"""Whose voices an upload is compared with."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.options.parsing import parse_upload_options
from shared.options.rules import parse_rules
from shared.voices.scope import voice_folder

RULES = parse_rules(
    """
[[rule]]
pattern = "clinic/**"
voices = "staff"

[[rule]]
pattern = "clinic/private/**"
voices = "off"

[[rule]]
pattern = "clinic/private/late/**"
voices = "staff"
"""
)


def folder(name: str, **metadata: str) -> str | None:
    asked = {f"transcribe-{key.replace('_', '-')}": value for key, value in {"speakers": "on", **metadata}.items()}
    return voice_folder(RULES.options(name, asked), name)


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("calls/2026/a.mp3", {}, "calls"),
        ("a.mp3", {}, ""),
        ("calls/a.mp3", {"voices": "OFF"}, None),
        ("calls/a.mp3", {"voices": "on"}, "calls"),
        ("calls/a.mp3", {"speakers": "off"}, None),
        ("calls/a.mp3", {"redact": "pii"}, None),
        ("calls/a.mp3", {"redact": "numbers"}, "calls"),
        ("clinic/a.mp3", {}, "staff"),
        ("clinic/a.mp3", {"voices": "off"}, None),
        ("clinic/private/a.mp3", {}, None),
        ("clinic/private/late/a.mp3", {}, None),  # nothing takes `off` back
    ],
)
def test_a_folder_has_its_own_voices_or_those_that_a_rule_names(
    name: str, metadata: dict[str, str], expected: str | None
) -> None:
    assert folder(name, **metadata) == expected


@pytest.mark.parametrize("name", ["clinic/a.mp3", "calls/a.mp3", "a.mp3"])
def test_an_upload_names_no_other_folder(name: str) -> None:
    with pytest.raises(Rejected, match="only a rule"):
        folder(name, voices="staff")


@pytest.mark.parametrize("value", ["a/b", "x" * 257, "a\nb", "/"])
def test_what_is_no_folder_is_refused(value: str) -> None:
    with pytest.raises(Rejected, match="transcribe-voices"):
        parse_upload_options({"transcribe-voices": value})
