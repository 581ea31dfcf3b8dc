"""What is counted of a file in parts is what one count of it all has, number for number, or it is no count at all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gpu_job.audio.counted_parts import counted_together
from gpu_job.audio.decoder.placing import CannotDecode
from gpu_job.audio.decoder.reading import decode
from gpu_job.audio.decoder.records import (
    CountedPart,
    DecodingRequest,
    PacketMark,
    PacketTimes,
    RecordWriter,
)
from gpu_job.audio.decoder_process.child import DecoderChild
from gpu_job.audio.decoder_process.start import DecoderLimits
from shared.media import DEMUXERS
from tests.support.sounds import make

SECONDS = 200
NOISE = ("-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:r=16000:a=0.2:seed=3")
PAUSES = ("-af", "aselect=not(between(t\\,90\\,97)+between(t\\,120.3\\,120.9))")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov", "-frag_duration", "5000000")
KINDS = {
    "pcm.wav": (),
    "law.wav": ("-c:a", "pcm_mulaw", "-ar", "8000"),
    "pcm.aiff": (),
    "pcm.au": (),
    "pcm.caf": (),
    "pcm.w64": (),
    "pcm.mov": ("-c:a", "pcm_s16le"),
    "a.flac": (),
    "aac.m4a": ("-c:a", "aac"),
    "alac.m4a": ("-c:a", "alac"),
    "fragments.mp4": ("-c:a", "aac", *FRAGMENTS),
    "a.opus": ("-c:a", "libopus"),
    "flac.ogg": ("-c:a", "flac"),
}
DAMAGED = ("pcm.wav", "a.flac", "aac.m4a", "fragments.mp4", "a.opus", "flac.ogg")


class Written(RecordWriter):
    """Keeps the count that is written."""

    def __init__(self) -> None:
        self.found: PacketTimes | CountedPart | None = None

    def record(self, record: object) -> None:  # type: ignore[override]
        if isinstance(record, PacketTimes | CountedPart):
            self.found = record


def counted(path: Path, part: tuple[int, int | None] | None = None) -> PacketTimes | CountedPart | None:
    """In this process: a child takes longer to start than to count."""
    written = Written()
    request = DecodingRequest(str(path), DEMUXERS, windows=(), counts_packets=True, counted_part=part)
    try:
        decode(request, written)
    except CannotDecode:
        return None
    return written.found


def in_parts(path: Path, borders: Sequence[int]) -> list[CountedPart | None]:
    found = [counted(path, (begin, end)) for begin, end in pairwise([0, *borders, None]) if begin is not None]
    return [one if isinstance(one, CountedPart) else None for one in found]


def borders_of(chance: random.Random, last: int) -> list[int]:
    return sorted(chance.sample(range(1, last), chance.choice([1, 2, 3])))


def assert_same(together: PacketTimes, whole: PacketTimes | CountedPart | None) -> None:
    assert isinstance(whole, PacketTimes)
    # The sum is of the same numbers, in another order.
    assert replace(together, seconds=0.0) == replace(whole, seconds=0.0)
    assert together.seconds == pytest.approx(whole.seconds)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counted")


@pytest.mark.parametrize("name", KINDS)
def test_parts_have_the_packets_of_the_whole(files: Path, name: str) -> None:
    path, chance = make(files / name, *NOISE, *PAUSES, *KINDS[name]), random.Random(name)
    whole = counted(path)
    for _ in range(4):
        together = counted_together(in_parts(path, borders_of(chance, SECONDS - 10)))
        assert together is not None
        assert_same(together, whole)
    assert isinstance(whole, PacketTimes)
    assert whole.ranges is not None
    # Where a container has times, there are no packets in a pause; also where a part lies in one.
    if len(whole.ranges) > 1:
        together = counted_together(in_parts(path, [93, 95]))
        assert together is not None
        assert_same(together, whole)
        assert [round(start - end) for (_, end), (start, _) in pairwise(whole.ranges)] == [7, 1]


@pytest.mark.parametrize("name", DAMAGED)
def test_parts_of_a_damaged_file_have_the_packets_of_the_whole_or_are_no_count(files: Path, name: str) -> None:
    path, damaged = make(files / name, *NOISE, *PAUSES, *KINDS[name]), files / f"damaged-{name}"
    data, joined = path.read_bytes(), 0
    for seed in range(12):
        chance = random.Random(f"{name} {seed}")
        damaged.write_bytes(with_damage(data, chance))
        parts = in_parts(damaged, borders_of(chance, SECONDS - 10))
        if (together := counted_together(parts)) is not None:
            assert_same(together, counted(damaged))
            joined += 1
    assert joined


def with_damage(data: bytes, chance: random.Random) -> bytes:
    """Behind the header, mostly: bits turned, stretches zeroed, cut out, doubled, made noise."""
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(data) // 50 if chance.random() < 0.9 else 0, len(damaged))
        length = len(damaged[at : at + chance.choice([1, 4, 100, 3000, 50_000])])
        match chance.randrange(5):
            case 0:
                damaged[at] ^= 1 << chance.randrange(8)
            case 1:
                damaged[at : at + length] = bytes(length)
            case 2:
                del damaged[at : at + length]
            case 3:
                damaged[at:at] = damaged[at : at + 3 * length]
            case _:
                damaged[at : at + length] = chance.randbytes(length)
    return bytes(damaged)


def test_a_file_without_times_or_with_several_recordings_is_not_counted_in_parts(files: Path) -> None:
    without = make(files / "a.mp3", *NOISE)
    assert in_parts(without, [100]) == [None, None]
    one = make(files / "one.opus", *NOISE, "-c:a", "libopus").read_bytes()
    two = files / "two.opus"
    two.write_bytes(one + one)
    assert in_parts(two, [100])[0] is None
    whole = counted(two)
    assert isinstance(whole, PacketTimes)
    assert whole.ranges is None


def test_a_border_behind_the_end_is_none(files: Path) -> None:
    path = make(files / "pcm.wav", *NOISE, *PAUSES)
    assert in_parts(path, [SECONDS + 100]) == [None, None]


BEFORE, AFTER = PacketMark(9, 1, 3, 90, 1), PacketMark(10, 1, 3, 93, 2)
FIRST = CountedPart(PacketTimes(10, 10.0, ((0.0, 4.0), (6.0, 10.05))), None, (BEFORE, AFTER))
SECOND = CountedPart(PacketTimes(5, 5.0, ((10.0, 12.0), (13.0, 16.0))), (BEFORE, AFTER), None)


def test_what_touches_at_a_border_is_one_stretch() -> None:
    assert counted_together([FIRST, SECOND]) == PacketTimes(15, 15.0, ((0.0, 4.0), (6.0, 12.0), (13.0, 16.0)))
    overlong = replace(FIRST, times=PacketTimes(10, 10.0, ((0.0, 14.0),)))
    assert counted_together([overlong, SECOND]) == PacketTimes(15, 15.0, ((0.0, 16.0),))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [FIRST],
        [SECOND],
        [FIRST, None],
        [None, SECOND],
        [FIRST, replace(SECOND, begin=(BEFORE, AFTER._replace(position=94)))],
        [FIRST, replace(SECOND, begin=(BEFORE._replace(checksum=5), AFTER))],
        [FIRST, replace(SECOND, end=(BEFORE, AFTER))],
        [replace(FIRST, begin=(BEFORE, AFTER)), SECOND],
        [replace(FIRST, times=PacketTimes(10, 10.0, None)), SECOND],
        [replace(FIRST, end=None), SECOND],
    ],
)
def test_parts_that_are_not_all_of_a_file_are_no_count(parts: list[CountedPart | None]) -> None:
    assert counted_together(parts) is None


def test_who_counted_all_of_it_is_enough() -> None:
    whole = CountedPart(PacketTimes(15, 15.0, None))
    assert counted_together([None, FIRST, whole]) == whole.times


def test_a_decoder_writes_what_it_counted(files: Path) -> None:
    path = make(files / "pcm.wav", *NOISE, *PAUSES)
    request = DecodingRequest(str(path), DEMUXERS, windows=(), counts_packets=True, counted_part=(50, 120))
    with DecoderChild(request, DecoderLimits()) as child:
        (found,) = [record for record in child.records() if isinstance(record, CountedPart)]
    assert found == counted(path, (50, 120))
    assert found.begin is not None
    assert found.end is not None
