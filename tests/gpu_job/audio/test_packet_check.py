"""What the packets of a file say, against the sound that arrived: the difference is lost, whatever lost it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpu_job.audio.decoder.records import Account, DecodingRequest, Loss, PacketTimes
from gpu_job.audio.decoder_process.child import DecoderChild
from gpu_job.audio.decoder_process.start import DecoderLimits
from gpu_job.audio.packet_check import LOST_REASON, HeardSound, lost_by_packets
from gpu_job.audio.samples import SAMPLE_RATE
from shared.media import DEMUXERS
from tests.support.sounds import make

TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=30:sample_rate=48000")
PAUSE = ("-af", "aselect=not(between(t\\,10\\,14))")


def frames(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def account(seconds: float, *, packets: int = 1500, refused: int = 0) -> Account:
    return Account(packets, seconds, seconds, refused, 1, frames(seconds), 0.0, None)


def all_of(seconds: float) -> HeardSound:
    return HeardSound(frames(seconds), [(0, frames(seconds))])


def counted(path: Path) -> PacketTimes:
    request = DecodingRequest(str(path), DEMUXERS, windows=(), counts_packets=True)
    with DecoderChild(request, DecoderLimits()) as child:
        (found,) = [record for record in child.records() if isinstance(record, PacketTimes)]
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ("-c:a", "aac")),
        ("a.mka", ("-c:a", "libopus")),
        ("a.ogg", ("-c:a", "libvorbis")),
        ("a.flac", ()),
        ("a.wav", ()),
        ("a.ts", ("-c:a", "mp2")),
    ],
)
def test_packets_are_counted_without_decoding(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    found = counted(make(tmp_path / name, *TONE, *options))
    assert found.ranges is not None
    ((start, end),) = found.ranges
    assert start == pytest.approx(0.0, abs=0.1)
    assert end == pytest.approx(30.0, abs=0.1)


def test_where_samples_are_counted_there_is_only_a_sum(tmp_path: Path) -> None:
    found = counted(make(tmp_path / "a.mp3", *TONE))
    assert found.ranges is None
    assert found.seconds == pytest.approx(30.0, abs=0.1)


@pytest.mark.parametrize("name", ["a.mka", "a.mp4"])
def test_a_pause_has_no_packets(tmp_path: Path, name: str) -> None:
    found = counted(make(tmp_path / name, *TONE, *PAUSE, "-c:a", "aac"))
    assert found.ranges is not None
    (_, first), (second, _) = found.ranges
    assert first == pytest.approx(10.0, abs=0.2)
    assert second == pytest.approx(14.0, abs=0.1)


def test_sound_that_did_not_arrive_is_lost() -> None:
    packets = PacketTimes(1500, 26.0, ((0.0, 10.0), (14.0, 30.0)))
    all_heard = [(0, frames(10)), (frames(14), frames(30))]
    assert lost_by_packets(packets, account(30), HeardSound(frames(30), all_heard), []) == []
    some_heard = [(0, frames(4)), (frames(6), frames(10)), (frames(14), frames(30))]
    lost = Loss(frames(4), frames(6), LOST_REASON)
    assert lost_by_packets(packets, account(30), HeardSound(frames(30), some_heard), []) == [lost]
    told = Loss(frames(3.5), frames(6), "damaged")
    assert lost_by_packets(packets, account(30), HeardSound(frames(30), some_heard), [told]) == []


def test_sound_behind_the_last_frame_is_lost() -> None:
    packets = PacketTimes(1500, 30.0, ((0.0, 30.0),))
    lost = lost_by_packets(packets, account(20), all_of(20), [])
    assert lost == [Loss(frames(20), frames(30), LOST_REASON)]
    lost = lost_by_packets(packets, account(30), all_of(20), [])
    assert lost == [Loss(frames(20), frames(30), LOST_REASON)]
    assert lost_by_packets(packets, account(29.7), all_of(29.7), []) == []


def test_a_clock_that_drifts_loses_nothing() -> None:
    packets = PacketTimes(1500, 60.0, ((0.0, 60.0),))
    heard = [(frames(start + 0.1), frames(start + 20)) for start in range(0, 60, 20)]
    assert lost_by_packets(packets, account(60), HeardSound(frames(60), heard), []) == []


def test_many_single_packets_add_up() -> None:
    packets = PacketTimes(1500, 60.0, ((0.0, 60.0),))
    heard = [(frames(start + 0.1), frames(start + 2)) for start in range(0, 60, 2)]
    (lost,) = lost_by_packets(packets, account(60), HeardSound(frames(60), heard), [])
    assert lost == Loss(0, frames(58.1), LOST_REASON)


def test_where_there_is_only_a_sum_what_is_missing_is_put_at_the_end() -> None:
    packets = PacketTimes(1500, 30.0, None)
    assert lost_by_packets(packets, account(30), all_of(30), []) == []
    assert lost_by_packets(packets, account(28, refused=100), all_of(28), []) == []
    lost = lost_by_packets(packets, account(25), all_of(25), [])
    assert lost == [Loss(frames(25), frames(30), LOST_REASON)]
