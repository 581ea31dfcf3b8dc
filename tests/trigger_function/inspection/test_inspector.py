"""What inspection says of sound files: container, codec, channels and rate, and a duration that is right."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.media import Media
from tests.support.remote_object import RemoteObject
from tests.support.tone_recordings import SECONDS, Record
from trigger_function.inspection.inspector import inspect


class Kind(NamedTuple):
    """How a recording is made, and what inspection is to say of it."""

    suffix: str
    options: str
    container: str
    codec: str
    rate: int = 44_100
    channels: int = 1
    streamed: bool = False


MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
FRAGMENTED = "-frag_duration 500000 -movflags frag_keyframe+empty_moov"

KINDS = {
    "wav": Kind("wav", "-ac 2 -ar 16000", "wav", "pcm_s16le", 16_000, 2),
    "wav of 24 bits": Kind("wav", "-c:a pcm_s24le", "wav", "pcm_s24le"),
    "wav of mu-law": Kind("wav", "-c:a pcm_mulaw -ar 8000", "wav", "pcm_mulaw", 8_000),
    "wav of ADPCM": Kind("wav", "-c:a adpcm_ima_wav", "wav", "adpcm_ima_wav"),
    "wav streamed": Kind("wav", "", "wav", "pcm_s16le", streamed=True),
    "w64": Kind("w64", "", "w64", "pcm_s16le"),
    "aiff": Kind("aiff", "", "aiff", "pcm_s16be"),
    "au": Kind("au", "", "au", "pcm_s16be"),
    "au streamed": Kind("au", "", "au", "pcm_s16be", streamed=True),
    "caf": Kind("caf", "", "caf", "pcm_s16be"),
    "caf streamed": Kind("caf", "", "caf", "pcm_s16be", streamed=True),
    "caf of ALAC": Kind("caf", "-c:a alac", "caf", "alac"),
    "mp3": Kind("mp3", "", "mp3", "mp3"),
    "mp3 of varying rate": Kind("mp3", "-q:a 5", "mp3", "mp3"),
    "mp3 without count": Kind("mp3", "-write_xing 0", "mp3", "mp3"),
    "mp3 of varying rate without count": Kind("mp3", "-q:a 5 -write_xing 0", "mp3", "mp3"),
    "mp2": Kind("mp2", "", "mp3", "mp2"),
    "m4a": Kind("m4a", "-ac 2", MP4, "aac", channels=2),
    "m4a with header first": Kind("m4a", "-movflags faststart", MP4, "aac"),
    "m4a of ALAC": Kind("m4a", "-c:a alac", MP4, "alac"),
    "mov": Kind("mov", "-c:a pcm_s16le", MP4, "pcm_s16le"),
    "mp4 of Opus": Kind("mp4", "-c:a libopus", MP4, "opus", 48_000),
    "mp4 in fragments": Kind("mp4", FRAGMENTED, MP4, "aac"),
    "mp4 in fragments with relative offsets": Kind("mp4", FRAGMENTED + "+default_base_moof", MP4, "aac"),
    "mp4 in fragments with an index": Kind("mp4", FRAGMENTED + "+delay_moov+global_sidx", MP4, "aac"),
    "mp4 in fragments after tables": Kind("mp4", "-frag_duration 500000 -movflags frag_keyframe", MP4, "aac"),
    "mp4 in fragments streamed": Kind("mp4", FRAGMENTED, MP4, "aac", streamed=True),
    "3gp": Kind("3gp", "-c:a libopencore_amrnb -ar 8000", MP4, "amr_nb", 8_000),
    "aac": Kind("adts", "-ac 2", "aac", "aac", channels=2),
    "opus": Kind("opus", "", "ogg", "opus", 48_000),
    "ogg of Vorbis": Kind("ogg", "-c:a libvorbis", "ogg", "vorbis"),
    "ogg of FLAC": Kind("ogg", "-c:a flac", "ogg", "flac"),
    "flac": Kind("flac", "-ac 2", "flac", "flac", channels=2),
    "flac streamed": Kind("flac", "", "flac", "flac", streamed=True),
    "webm": Kind("webm", "", "matroska,webm", "opus", 48_000),
    "webm streamed": Kind("webm", "", "matroska,webm", "opus", 48_000, streamed=True),
    "webm live": Kind("webm", "-live 1", "matroska,webm", "opus", 48_000, streamed=True),
    "mkv": Kind("mkv", "-c:a aac", "matroska,webm", "aac"),
    "mkv streamed": Kind("matroska", "-c:a flac", "matroska,webm", "flac", streamed=True),
    "avi": Kind("avi", "", "avi", "mp3"),
    "mpegts": Kind("ts", "-c:a aac", "mpegts", "aac"),
    "mpegps": Kind("mpg", "", "mpeg", "mp2"),
    "asf": Kind("asf", "", "asf", "wmav2"),
    "asf streamed": Kind("asf", "", "asf", "wmav2", streamed=True),
    "flv": Kind("flv", "-c:a aac", "flv", "aac"),
    "flv streamed": Kind("flv", "-c:a aac", "flv", "aac", streamed=True),
    "amr": Kind("amr", "-ar 8000", "amr", "amr_nb", 8_000),
    "ac3": Kind("ac3", "", "ac3", "ac3"),
    "eac3": Kind("eac3", "", "eac3", "eac3"),
}


def inspected(data: bytes) -> Media:
    return inspect(RemoteObject.of(data).fetch, len(data))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_describes(kind: Kind, record: Record) -> None:
    data = record(kind.suffix, *kind.options.split(), streamed=kind.streamed)
    media = inspected(data)
    assert (media.container, media.codec) == (kind.container, kind.codec)
    assert (media.sample_rate_hz, media.channels) == (kind.rate, kind.channels)
    assert (media.size_bytes, media.has_video) == (len(data), False)
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)
    assert not media.duration_is_estimate


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", "-c:v libx264"),
        ("mov", "-c:v mpeg4"),
        ("mkv", "-c:v libx264"),
        ("webm", "-c:v libvpx -deadline realtime"),
        ("avi", "-c:v mpeg4"),
        ("ts", "-c:v libx264"),
        ("mpg", "-c:v mpeg1video"),
        ("asf", "-c:v msmpeg4"),
        ("flv", "-c:v flv1"),
    ],
)
def test_sees_video_beside_the_sound(suffix: str, options: str, record: Record) -> None:
    media = inspected(record(suffix, *options.split(), picture="testsrc=size=64x48:rate=25"))
    assert media.has_video
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac", "mkv"])
def test_a_cover_is_not_video(suffix: str, record: Record, cover: str) -> None:
    as_picture = f"-i {cover} -map 0 -map 1 -c:v copy -disposition:v attached_pic"
    as_attachment = f"-attach {cover} -metadata:s:t mimetype=image/png"
    data = record(suffix, *(as_attachment if suffix == "mkv" else as_picture).split())
    media = inspected(data)
    assert b"\x89PNG" in data
    assert not media.has_video
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "flac"])
def test_a_large_cover_is_not_fetched(suffix: str, record: Record, large_cover: str) -> None:
    data = record(suffix, *f"-i {large_cover} -map 0 -map 1 -c:v copy -disposition:v attached_pic".split())
    assert len(data) > 12_000_000
    remote = RemoteObject.of(data)
    media = inspect(remote.fetch, remote.size)
    assert media.duration_seconds == pytest.approx(SECONDS, rel=0.01)
    assert remote.bytes_fetched < 2**20
