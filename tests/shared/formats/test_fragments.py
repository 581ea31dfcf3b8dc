"""Fragments of an MP4 as they are written, and times that begin again among them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shared.formats.edit_lists import edit_list_patches
from shared.formats.fragments import fragment_patches, fragments
from shared.formats.header_sizes import header_patches
from tests.support.decoded_sound import BytesFile, decoded_seconds
from tests.support.tone_recordings import SECONDS, Record

FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "500000")
KINDS = {
    "AAC": ("mp4", "-c:a", "aac", *FRAGMENTS),
    "ALAC": ("mp4", "-c:a", "alac", *FRAGMENTS),
    "PCM": ("mov", "-c:a", "pcm_s16le", *FRAGMENTS),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_fragments_follow_each_other(kind: tuple[str, ...], record: Record) -> None:
    data = record(*kind)
    found = list(fragments(BytesFile(data)))
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert not any(one.has_orphan for one in found)
    runs = [run for one in found for run in one.runs]
    assert len(runs) == len(found) > 5
    for before, after in pairwise(runs):
        assert after.time == before.time + before.ticks
    assert (runs[-1].time + runs[-1].ticks - runs[0].time) / runs[0].scale == pytest.approx(SECONDS, abs=0.1)
    assert fragment_patches(BytesFile(data)) == {}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_second_session_goes_on_where_the_first_ends(kind: tuple[str, ...], record: Record) -> None:
    data = record(*kind)
    first = data.index(b"moof") - 4
    last = data.rindex(b"mfra") - 4
    joined = BytesFile(data[:last] + data[first:last])
    assert decoded_seconds(joined) < 2 * SECONDS - 0.3  # what FFmpeg makes of it
    assert decoded_seconds(joined, header_patches(joined)) == pytest.approx(2 * SECONDS, abs=0.1)


def test_media_data_without_an_index_of_its_own(record: Record) -> None:
    data = record(*KINDS["AAC"])
    found = list(fragments(BytesFile(data)))
    index, behind = found[3].start, found[4].start
    data_at = data.index(b"mdat", index) - 4
    assert data_at < behind
    torn = list(fragments(BytesFile(data[:index] + data[data_at:])))
    assert [one.has_orphan for one in torn] == [number == 2 for number in range(len(found) - 1)]


def test_only_the_beginning_is_looked_at_where_that_is_asked_for(record: Record) -> None:
    data = record(*KINDS["AAC"])
    every = list(fragments(BytesFile(data)))
    assert list(fragments(BytesFile(data), within=every[3].start)) == every[:3]


@pytest.mark.parametrize("end", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_has_the_fragments_that_are_there(end: float, record: Record) -> None:
    data = record(*KINDS["AAC"])
    every = [one.start for one in fragments(BytesFile(data))]
    size = int(end * len(data))
    found = [one.start for one in fragments(BytesFile(data[:size]))]
    assert found == [start for start in every if start + 8 <= size]


def test_an_edit_list_that_leaves_nothing_is_no_edit_list(record: Record) -> None:
    data = record("m4a", "-c:a", "aac")
    at = data.index(b"elst") + 12
    nothing = BytesFile(data[:at] + bytes(4) + data[at + 4 :])
    assert edit_list_patches(BytesFile(data)) == {}
    assert edit_list_patches(nothing) == {data.index(b"edts"): b"free"}
    assert decoded_seconds(nothing) == 0.0  # what FFmpeg makes of it
    assert decoded_seconds(nothing, header_patches(nothing)) == pytest.approx(SECONDS, abs=0.1)


def test_in_fragments_a_list_of_length_0_is_right(record: Record) -> None:
    data = record("mp4", "-c:a", "aac", "-movflags", "frag_keyframe+delay_moov", "-frag_duration", "500000")
    assert edit_list_patches(BytesFile(data)) == {}
