"""Matroska clusters whose size is not that of what is in them: all of their sound is read; right ones are let be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shared.formats.cluster_sizes import matroska_patches
from shared.formats.header_sizes import header_patches
from tests.support.decoded_sound import BytesFile, decoded_seconds
from tests.support.tone_recordings import SECONDS, Record

CLUSTER = bytes.fromhex("1f43b675")
SECOND_OF_CLUSTER = ("-cluster_time_limit", "1000")
FILES = {
    "opus": ("webm", "-c:a", "libopus", *SECOND_OF_CLUSTER),
    "aac": ("mka", "-c:a", "aac", *SECOND_OF_CLUSTER),
    "flac": ("mka", "-c:a", "flac", *SECOND_OF_CLUSTER),
    "pcm": ("mka", "-c:a", "pcm_s16le", *SECOND_OF_CLUSTER),
}
SIZES: dict[str, Callable[[int], int]] = {
    "nothing": lambda size: 0,
    "the time alone": lambda size: 3,
    "half": lambda size: size // 2,
    "a bit less": lambda size: size - 5,
    "a bit more": lambda size: size + 5,
    "twice": lambda size: 2 * size,
    "gigabytes": lambda size: 2**40,
}


def clusters(data: bytes) -> Iterator[tuple[int, int]]:
    """Place and size of the number behind each cluster's identifier, which FFmpeg writes in 8 bytes."""
    at = data.find(CLUSTER)
    while at >= 0:
        length = 9 - data[at + 4].bit_length()
        yield at + 4, length
        at = data.find(CLUSTER, at + 4)


def with_sizes(data: bytes, size_of: Callable[[int], int], chosen: slice) -> bytes:
    changed = bytearray(data)
    for at, length in list(clusters(data))[chosen]:
        marker = 1 << 7 * length
        true = int.from_bytes(data[at : at + length]) - marker
        wrong = min(size_of(true), marker - 2)
        changed[at : at + length] = (marker | wrong).to_bytes(length)
    return bytes(changed)


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
@pytest.mark.parametrize("size_of", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("chosen", [slice(None), slice(1, 2), slice(-1, None)], ids=["all", "one", "the last"])
def test_all_sound_is_read(file: tuple[str, ...], size_of: Callable[[int], int], chosen: slice, record: Record) -> None:
    whole = record(*file)
    assert len(list(clusters(whole))) > 3
    wrong = BytesFile(with_sizes(whole, size_of, chosen))
    expected = decoded_seconds(BytesFile(whole))
    assert expected == pytest.approx(SECONDS, abs=0.05)
    assert decoded_seconds(wrong, header_patches(wrong)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_right_sizes_are_let_be(file: tuple[str, ...], record: Record) -> None:
    whole = record(*file)
    assert header_patches(BytesFile(whole)) == {}
    assert header_patches(BytesFile(2 * whole)) == {}
    live = record(*file[:1], "-live", "1", *file[1:])
    assert header_patches(BytesFile(live)) == {}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_that_was_cut_is_let_be(file: tuple[str, ...], record: Record) -> None:
    whole = record(*file)
    for end in range(0, len(whole), 1 + len(whole) // 50):
        assert header_patches(BytesFile(whole[:end])) == {}


def test_inspection_looks_at_the_beginning_only(record: Record) -> None:
    whole = record(*FILES["pcm"])
    places = [at for at, _ in clusters(whole)]
    wrong = BytesFile(with_sizes(whole, SIZES["half"], slice(None)))
    assert list(matroska_patches(wrong)) == places
    assert list(matroska_patches(wrong, within=places[2] - len(CLUSTER))) == places[:2]
