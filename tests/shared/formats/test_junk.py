"""A recording behind other bytes is found; where a file begins with its sound nothing is left out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.junk import SEARCHED_BYTES, junk_bytes
from tests.support.decoded_sound import BytesFile
from tests.support.media_kinds import KINDS, Kind, id_of, make
from tests.support.tone_recordings import Record

CONTAINERS = [
    ("flac", ""),
    ("wav", ""),
    ("opus", ""),
    ("ogg", ""),
    ("m4a", ""),
    ("mka", ""),
    ("webm", ""),
    ("flv", "-c:a aac"),
    ("wma", ""),
    ("avi", "-c:a pcm_s16le"),
    ("caf", ""),
    ("aiff", ""),
    ("au", ""),
    ("amr", "-ar 8000"),
]
JUNK = {
    "noise": random.Random(5).randbytes(9000),
    "zeros": bytes(5000),
    "a download's header": b"HTTP/1.1 200 OK\r\nContent-Type: audio/flac\r\n\r\n",
    "one byte": b"x",
}


@pytest.mark.parametrize(("suffix", "options"), CONTAINERS)
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_a_recording_behind_junk_is_found(suffix: str, options: str, junk: bytes, record: Record) -> None:
    assert junk_bytes(BytesFile(junk + record(suffix, *options.split()))) == len(junk)


@pytest.mark.parametrize("options", ["ts -c:a aac", "ts -c:a mp2", "m2ts -c:a ac3 -mpegts_m2ts_mode 1"])
@pytest.mark.parametrize("junk", [JUNK["noise"], bytes(200_000)], ids=["noise", "zeros"])
def test_a_transport_stream_behind_junk_is_found(options: str, junk: bytes, record: Record) -> None:
    """FFmpeg finds one behind a few KB, and behind more takes the noise for a stream of its own."""
    assert junk_bytes(BytesFile(junk + record(*options.split()))) == len(junk)


@pytest.mark.parametrize("kind", KINDS, ids=id_of)
def test_a_file_that_begins_with_its_sound_is_let_be(kind: Kind, record: Record) -> None:
    assert junk_bytes(BytesFile(make(kind, record))) == 0


def test_a_recording_far_behind_is_not_looked_for(record: Record) -> None:
    assert junk_bytes(BytesFile(bytes(SEARCHED_BYTES) + record("flac"))) == 0


@given(st.binary(max_size=3000))
def test_chance_bytes_are_no_recording(data: bytes) -> None:
    assert junk_bytes(BytesFile(data)) == 0
