"""What strangers write into an object's metadata."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.options.metadata_keys import KEYS, REDACT_TERMS_METADATA
from shared.options.model import NOTHING_ASKED
from shared.options.parsing import parse_upload_options

HOSTILE = (
    "\0",
    "a\nb",
    "\u202egpj.exe",
    "<script>alert(1)</script>",
    "-1",
    "1e999",
    "9" * 5000,
    "\u0661\u0662",
    "nan",
    "$",
    ",",
    ";;;",
    ":" * 8000,
    "*" * 8000,
    "(a+)+$" * 1300,
    "{" * 8000,
    "../../etc/keyterms.txt",
    "gs://other/keyterms.txt",
    "\ud800",
    "\u00e9" * 4000,
    "a," * 4000,
    "\u202ea, b",
)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_whatever_is_asked_is_taken_or_rejected(key: str) -> None:
    for value in HOSTILE:
        try:
            options, reason = parse_upload_options({key: value}), None
        except Rejected as error:
            options, reason = NOTHING_ASKED, error.reason
        assert reason is None or key in reason
        assert reason is None or key != REDACT_TERMS_METADATA or value not in reason
        for text in (*options.speaker_names, *(term.phrase for term in options.keyterms), *options.redact_terms):
            assert text.isprintable()
        assert parse_upload_options(options.metadata()) == options
