"""A header states how many bytes its file has, where its writer could know."""

from __future__ import annotations

import pytest

from tests.support.tone_recordings import Record
from trigger_function.inspection.declared_size import HEAD_BYTES, stated_mp3_bytes, stated_size

FORMATS = pytest.mark.parametrize(
    ("suffix", "options"),
    [("wav", ""), ("avi", ""), ("aiff", ""), ("asf", ""), ("flv", "-c:a aac"), ("webm", ""), ("matroska", "-c:a aac")],
)


@FORMATS
def test_a_finished_file_states_its_length(suffix: str, options: str, record: Record) -> None:
    data = record("mkv" if suffix == "matroska" else suffix, *options.split())
    assert stated_size(data[:HEAD_BYTES]) == len(data)


@FORMATS
def test_a_streamed_file_states_none_that_is_true(suffix: str, options: str, record: Record) -> None:
    data = record(suffix, *options.split(), streamed=True)
    assert stated_size(data[:HEAD_BYTES]) in (None, 0, 8)


@FORMATS
def test_a_header_that_is_cut_states_nothing_false(suffix: str, options: str, record: Record) -> None:
    data = record("mkv" if suffix == "matroska" else suffix, *options.split())
    assert {stated_size(data[:length]) for length in range(2000)} == {None, len(data)}


def test_other_files_state_nothing() -> None:
    assert stated_size(b"") is None
    assert stated_size(b"fLaC" + bytes(99)) is None


def test_the_first_frame_of_an_mp3_counts_its_bytes(record: Record) -> None:
    data = record("mp3", "-id3v2_version", "0")
    assert stated_mp3_bytes(data[:200]) == len(data)


@pytest.mark.parametrize(
    ("tag", "count"),
    [
        (b"Xing" + b"\0\0\0\3" + b"\0\0\1\0" + b"\0\1\0\0", 65536),
        (b"Info" + b"\0\0\0\2" + b"\0\1\0\0", 65536),
        (b"Xing" + b"\0\0\0\1" + b"\0\0\1\0" + b"\0\1\0\0", None),
        (b"VBRI" + b"\0\1" + b"\0\0" + b"\0\0" + b"\0\1\0\0" + b"\0\0\1\0", 65536),
        (b"Xing\0\0", None),
        (b"", None),
    ],
)
def test_the_tags_that_count(tag: bytes, count: int | None) -> None:
    assert stated_mp3_bytes(bytes(36) + tag) == count
