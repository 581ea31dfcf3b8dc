"""Names of speakers in a file beside the upload."""

from __future__ import annotations

import json

import pytest

from shared.errors import Rejected
from shared.options.model import UploadOptions
from shared.options.parsing import parse_upload_options
from shared.options.speaker_count import MOST_SPEAKERS
from shared.options.speaker_names import (
    LONGEST_NAME,
    MAX_FILE_BYTES,
    is_speakers_file,
    parse_speakers_file,
    speakers_files_of,
)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"speakers": ["Ann", "Ben"]}', ("Ann", "Ben")),
        ('\ufeff{"speakers":\n["\u00c9mile  B."]}'.encode(), ("\u00c9mile B.",)),
        (b'{"speakers": ["\\u00c9mile"]}', ("\u00c9mile",)),
        (b'{"speakers": []}', ()),
    ],
)
def test_names_are_read_in_their_order(content: bytes, names: tuple[str, ...]) -> None:
    assert parse_speakers_file("speakers.json", content) == names
    assert parse_upload_options(UploadOptions(speaker_names=names).metadata()).speaker_names == names


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 60_000, "cannot be read"),
        (b'["Ann"]', "cannot be read"),
        (b'{"speakers": "Ann"}', "cannot be read"),
        (b'{"speakers": {"0": "Ann"}}', "cannot be read"),
        (b'{"speakers": [1]}', "cannot be read"),
        (b'{"speakers": [null]}', "cannot be read"),
        (b'{"names": ["Ann"]}', "cannot be read"),
        (b'{"speakers": ["Ann"], "more": 1}', "cannot be read"),
        (b'{"speakers": ["\\ud800"]}', "cannot be read"),
        (b'{"speakers": [" "]}', "up to 50 names"),
        (b'{"speakers": ["Smith, Ann"]}', "without commas"),
        (b'{"speakers": ["a\\u0000b"]}', "up to 50 names"),
        (b'{"speakers": ["\\u202enaB"]}', "up to 50 names"),
        (json.dumps({"speakers": ["x" * (LONGEST_NAME + 1)]}).encode(), "up to 80 characters"),
        (json.dumps({"speakers": ["x"] * (MOST_SPEAKERS + 1)}).encode(), "up to 50 names"),
        (b" " * (MAX_FILE_BYTES + 1), "longer than 64 KiB"),
    ],
)
def test_a_file_that_has_no_names_is_refused_by_its_name(content: bytes, why: str) -> None:
    with pytest.raises(Rejected, match=why) as error:
        parse_speakers_file("calls/a.mp3.speakers.json", content)
    assert "'calls/a.mp3.speakers.json'" in error.value.reason
    assert len(error.value.reason) < 200


def test_the_longest_names_fit_into_a_file_however_they_are_written() -> None:
    names = ["\U0001f600" * LONGEST_NAME] * MOST_SPEAKERS
    content = json.dumps({"speakers": names}).encode()
    assert parse_speakers_file("speakers.json", content) == tuple(names)


@pytest.mark.parametrize(
    ("upload", "files"),
    [
        ("a.mp3", ("a.mp3.speakers.json", "speakers.json")),
        ("calls/1/a.mp3", ("calls/1/a.mp3.speakers.json", "calls/1/speakers.json")),
        ("/a.mp3", ("/a.mp3.speakers.json", "/speakers.json")),
    ],
)
def test_names_stand_beside_the_upload_and_are_no_upload(upload: str, files: tuple[str, str]) -> None:
    assert speakers_files_of(upload) == files
    assert all(map(is_speakers_file, files))
    assert not is_speakers_file(upload)
    assert not is_speakers_file("myspeakers.json")
    assert not is_speakers_file("speakers.json/a.mp3")
    assert is_speakers_file("a/Speakers.JSON")
