"""Which audio track of a file is described, and what is said of the others."""

from __future__ import annotations

import pytest

from shared.errors import BadMedia, Rejected
from shared.formats.tracks import RequestedTrack
from shared.media import Media
from tests.support.mp4_boxes import boxes
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import SECONDS, Record
from trigger_function.inspection.inspector import inspect

TWO = ["-map", "0:a", "-map", "0:a", "-c:a", "aac", "-ac:a:0", "1", "-ac:a:1", "2"]
LANGUAGES = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"]


def inspected(data: bytes, track: RequestedTrack | None = None) -> Media:
    return inspect(RemoteObject.of(data).fetch, len(data), track=track)


def marked(default: int | None) -> list[str]:
    marks = [f"-disposition:a:{index} {'default' if index == default else 0}" for index in range(2)]
    return ["-default_mode", "passthrough", *" ".join(marks).split()]


@pytest.mark.parametrize("default", [0, 1])
def test_the_track_that_is_marked_as_the_default_counts(default: int, record: Record) -> None:
    media = inspected(record("mkv", *TWO, *marked(default)))
    assert (media.track, media.channels) == (default, default + 1)
    assert [track.is_default for track in media.tracks] == [default == 0, default == 1]
    assert [track.channels for track in media.tracks] == [1, 2]


def test_without_a_mark_it_is_the_first(record: Record) -> None:
    assert inspected(record("ts", *TWO)).track == 0
    assert inspected(record("mkv", *TWO, *marked(None))).track == 0


def with_enabled(data: bytes, enabled: list[bool]) -> bytes:
    """An MP4 with the enabled flags of its tracks, which are what FFmpeg takes for the default, set."""
    changed, at = bytearray(data), 0
    for flag in enabled:
        at = data.index(b"tkhd", at) + 4
        changed[at + 3] = changed[at + 3] & ~1 | flag
    return bytes(changed)


@pytest.mark.parametrize("enabled", [0, 1])
def test_of_an_mp4_the_enabled_track_counts(enabled: int, record: Record) -> None:
    data = with_enabled(record("m4a", *TWO), [index == enabled for index in range(2)])
    assert {kind for _, kind, _ in boxes(data)} >= {b"moov", b"mdat"}
    assert inspected(data).track == enabled


@pytest.mark.parametrize("suffix", ["mkv", "m4a", "ts"])
@pytest.mark.parametrize(("requested", "index"), [(1, 0), (2, 1), ("de", 1), ("deu", 1), ("ger", 1), ("en", 0)])
def test_the_request_decides(suffix: str, requested: RequestedTrack, index: int, record: Record) -> None:
    media = inspected(record(suffix, *TWO, *LANGUAGES), requested)
    assert (media.track, media.channels) == (index, index + 1)
    assert [track.is_heard for track in media.transcript_tracks()] == [index == 0, index == 1]


def test_numbers_count_audio_tracks_and_not_streams(record: Record) -> None:
    data = record("mkv", "-map", "1:v", *TWO, "-c:v", "mpeg4", picture="testsrc=size=64x48:rate=25")
    media = inspected(data, 2)
    assert (media.track, media.channels) == (2, 2)
    assert [(track.number, track.index) for track in media.tracks] == [(1, 1), (2, 2)]


def test_commentary_is_not_taken_by_itself(record: Record) -> None:
    marks = ("-default_mode", "passthrough", "-disposition:a:0", "default+comment", "-disposition:a:1", "0")
    media = inspected(record("mkv", *TWO, *marks))
    assert media.track == 1
    assert media.tracks[0].is_secondary


def test_titles_and_languages_are_listed(record: Record) -> None:
    media = inspected(record("mkv", *TWO, *LANGUAGES, "-metadata:s:a:1", "title=Die Regie"))
    assert [track.label for track in media.tracks] == ["1 (eng, aac)", '2 (ger, "Die Regie", aac)']


def test_a_track_that_is_not_there_is_rejected_with_those_that_are(record: Record) -> None:
    with pytest.raises(Rejected, match=r"no audio track 3, .* it has 1 \(eng, aac\), 2 \(ger, aac\)"):
        inspected(record("mkv", *TWO, *LANGUAGES), 3)


def test_all_tracks_last_as_long_as_the_longest(record: Record) -> None:
    short = "[0:a]asplit[a][b];[a]atrim=end=2[c]"
    for suffix in ("mkv", "m4a"):
        data = record(suffix, "-filter_complex", short, "-map", "[c]", "-map", "[b]", "-c:a", "aac")
        media = inspected(data, "all")
        assert media.mixes_tracks
        assert media.duration_seconds == pytest.approx(SECONDS, rel=0.02)
        assert all(track.is_heard for track in media.transcript_tracks())


def test_all_of_one_track_is_that_track(record: Record) -> None:
    assert not inspected(record("m4a"), "all").mixes_tracks


def test_a_codec_without_a_decoder_is_named(record: Record) -> None:
    data = record("m4a").replace(b"mp4a", b"ac-4", 1).replace(b"esds", b"free", 1)
    with pytest.raises(BadMedia, match=r"^The file's sound has a codec that is not read: AC-4\.$"):
        inspected(data)


def test_a_track_that_can_be_read_is_taken_before_one_that_cannot(record: Record) -> None:
    media = inspected(record("m4a", *TWO).replace(b"mp4a", b"ac-4", 1).replace(b"esds", b"free", 1))
    assert (media.track, media.tracks[0].codec, media.tracks[0].is_readable) == (1, "ac4", False)


def test_what_a_file_says_of_a_track_is_cut(record: Record) -> None:
    title = "t" * 100_000
    media = inspected(record("mka", "-c:a", "flac", "-metadata:s:a:0", f"title={title}"))
    (track,) = media.tracks
    assert track.title is not None
    assert (len(track.title), track.title[:5]) == (200, "ttttt")
    assert len(media.model_dump_json()) < 2000
