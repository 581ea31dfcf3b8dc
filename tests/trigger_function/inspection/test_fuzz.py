"""Whatever bytes come: inspection answers with Media or BadMedia, within its budget."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import BadMedia
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import Record
from trigger_function.inspection.inspector import inspect

BUDGET = 2**20
SEEDS = [
    ("wav", "", False),
    ("w64", "", False),
    ("aiff", "", False),
    ("caf", "-c:a alac", False),
    ("mp3", "", False),
    ("m4a", "", False),
    ("mp4", "-movflags frag_keyframe+empty_moov -frag_duration 50000", False),
    ("adts", "", False),
    ("amr", "-ar 8000", False),
    ("flac", "", False),
    ("opus", "", False),
    ("webm", "", True),
    ("avi", "", False),
    ("ts", "-c:a aac", False),
    ("mpg", "", False),
    ("asf", "", True),
    ("flv", "-c:a aac", True),
    ("voc", "", False),
    ("tta", "", False),
    ("wv", "", False),
    ("dts", "-strict -2", False),
    ("thd", "-strict -2 -ar 48000", False),
    ("rm", "-c:a ac3", False),
    ("nut", "-c:a pcm_s16le", False),
    ("wtv", "-c:a mp2", False),
    ("wav", "-rf64 always", False),
]
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\1\0\0\0")

Change = tuple[int, int, bytes]
"""Where, how many bytes are taken away, what is put there."""

changes = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, 40), st.one_of(st.sampled_from(EXTREMES), st.binary(max_size=20))),
    min_size=1,
    max_size=8,
)


def answer(data: bytes) -> None:
    remote = RemoteObject.of(data)
    with suppress(BadMedia):
        media = inspect(remote.fetch, remote.size, max_bytes=BUDGET)
        assert 0 < media.duration_seconds < float("inf")
    assert remote.bytes_fetched <= BUDGET


@pytest.mark.parametrize(("suffix", "options", "streamed"), SEEDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=changes)
def test_damaged_headers(suffix: str, options: str, streamed: bool, record: Record, edits: list[Change]) -> None:
    data = record(suffix, *options.split(), streamed=streamed, seconds=0.3)
    for place, taken, put in edits:
        start = place % len(data)
        data = data[:start] + put + data[start + taken :]
    answer(data)


@settings(max_examples=200, deadline=None)
@given(
    beginning=st.sampled_from(
        [b"", b"ID3\4\0\0", b"\0\0\0\x18ftypM4A ", b"RIFF", b"\x1aE\xdf\xa3", b"OggS", b"\xff\xfb"]
    ),
    rest=st.binary(max_size=3000),
)
def test_chance_bytes(beginning: bytes, rest: bytes) -> None:
    answer(beginning + rest)
