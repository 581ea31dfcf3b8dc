"""Key terms among an upload's options: through metadata and back, as text, and not longer than metadata may be."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.keyterms.terms import Keyterm, parse_keyterms
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options


def test_metadata_and_back() -> None:
    options = UploadOptions(keyterms=parse_keyterms("Parakeet:2; ratio 3:1:1"), keyterms_file="a/keyterms.txt")
    assert parse_upload_options(options.metadata()) == options
    assert options.has_keyterms
    assert not UploadOptions().has_keyterms


def test_text_is_taken_for_the_terms() -> None:
    assert UploadOptions.model_validate({"keyterms": "a:2; b"}).keyterms == parse_keyterms("a:2; b")


@pytest.mark.parametrize("phrase", ["a;b", "a\nb\x00", "...", " "])
def test_a_phrase_is_checked_wherever_it_comes_from(phrase: str) -> None:
    with pytest.raises(ValueError, match=r"phrase|letter"):
        Keyterm(phrase=phrase)


def test_more_than_metadata_holds_is_said() -> None:
    terms = tuple(Keyterm(phrase=f"{number:060d}") for number in range(200))
    with pytest.raises(Rejected, match="transcribe-keyterms-file"):
        UploadOptions(keyterms=terms).metadata()
