"""Files of the benchmark `media` that once lost sound or raised false alarms, each with its exact right values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest

from benchmarks.media.bench import recipes
from benchmarks.media.measure import Measured, measure
from benchmarks.media.recipes import Workshop
from benchmarks.media.verdict import verdict

RECIPES = {recipe.name: recipe for recipe in recipes()}

WHOLE = {
    "wav pcm_s16le, data size a quarter": 12.0,
    "rf64 pcm_s16le, ds64 sizes 0": 12.0,
    "opus libopus, appended session": 20.0,
    "flac flac, appended session": 20.0,
    "mka aac, then stereo": 20.0,
    "ac3 ac3, then another rate": 20.0,
    "ac3 ac3, 4000 bytes of zeros behind": 12.0,
    "ogg flac, appended session": 20.0,
    "ts mp2, the clock goes back 980 s": 20.0,
    "ts aac, the clock jumps 36000 s": 12.0,
    "webm libopus, a pause of 900 s": 912.0,
    "opus libopus, a pause of 60 s": 72.0,
    "opus libopus, starts at 3600 s": 12.0,
    "mkv aac, sound 2 s behind the picture": 14.0,
    "m4a aac, an empty edit of 5 s": 17.0,
    "mkv aac, a picture of 40 s": 12.0,
    "ts with a picture aac, which never comes": 12.0,
    "ts with a picture aac, muted for 60 s while the picture goes on": 72.0,
    "flv with a picture aac, muted for 60 s while the picture goes on": 72.0,
    "m4a aac, a broken cover picture": 12.0,
    "mp4 aac, two tracks, the second is the default": 12.0,
    "mkv libopus, two tracks, the first is silent and the default": 12.0,
    "wav pcm_s16le, 64 channels without a layout, voice on 64": 12.0,
    "ac3 ac3, 5.1(side), each channel": 12.0,
    "m4a aac, after a jingle in phase": 14.0,
    "wav pcm_s16le, hum of one bit in opposite phase, then a call": 43.0,
    "webm libopus, sizes of clusters 0": 12.0,
    "mkv aac, sizes of clusters 0": 12.0,
    "mp4 in fragments aac, all fragments at 0": 12.0,
    "mp4 in fragments aac, fragments of another session": 20.0,
    "m4a aac, an edit of length 0": 12.0,
    "aac aac, HLS segments": 12.0,
    "ts aac, 60,000 bytes of noise before": 12.0,
    "ts aac, then another codec": 20.0,
    "amr libopencore_amrnb, a pause without data": 12.0,
}
"""Seconds of sound and silence in files that have all of it: no gap."""

DAMAGED = {
    "wav pcm_s16le, cut in half": (6.0, 12.0),
    "wav libmp3lame, cut in half": (6.0, 12.0),
    "wav mp2, cut in half": (6.0, 12.0),
    "flac flac, cut in half": (5.9, 12.0),
    "mp3 libmp3lame, cut in half": (6.0, 12.0),
    "m4a aac, cut in half": (5.9, 12.0),
    "mka aac, cut in half": (6.0, 12.0),
    "flac, frames missing": (5.3, 7.8),
    "ts aac, bytes missing inside": (5.7, 8.0),
    "ts ac3, bytes missing inside": (5.4, 7.84),
    "ts with a picture aac, bytes missing inside": (5.25, 7.7),
    "vob pcm_dvd, bytes missing inside": (5.4, 7.8),
    "oga flac, bytes missing inside": (5.12, 8.19),
    "flv libmp3lame, bytes missing inside": (5.4, 7.73),
    "flv with a picture aac, bytes missing inside": (5.32, 7.73),
    "wmv wmav2, cut in half": (6.08, 12.05),
    "sox pcm_s32le, cut in half": (6.0, 12.0),
    "ac3 ac3, bytes missing inside": (5.4, 5.4),
    "opus libopus, a page missing": (4.0, 5.0),
    "ogg libvorbis, a page missing": (4.1, 5.1),
    "webm libopus, a cluster missing": (4.0, 5.0),
    "mka flac, a cluster missing": (3.9, 4.9),
    "mp4 in fragments aac, a fragment missing": (3.1, 4.2),
    "mp4 in fragments aac, the index of a fragment missing": (3.1, 4.2),
    "ts aac, a stretch encrypted": (4.8, 7.2),
    "wma wmav2, packets missing": (1.1, 2.2),
    "aac aac, an HLS segment missing": (4.0, 6.0),
    "mpg mp2, then vob ac3": (12.0, 12.0),
}
"""The one gap of files in which something is missing, in seconds."""

CHANGING = ("ts aac, then other PIDs", "ts mp2, then another codec", "ts with a picture aac, then other PIDs")
"""Transport streams in which other PIDs have the sound from 12 s on; inspection states the first part's length."""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(Path(tmp_path_factory.mktemp("media")), str(imageio_ffmpeg.get_ffmpeg_exe()))


def without_memory(measured: Measured) -> Measured:
    """The peak of this process is that of all tests before it; the benchmark measures each file in its own process."""
    return replace(measured, peak_megabytes=0.0, child_megabytes=0.0)


@pytest.mark.parametrize("name", WHOLE)
def test_all_sound_is_decoded_where_it_stands(name: str, workshop: Workshop) -> None:
    measured = measure(RECIPES[name], workshop)

    assert verdict(RECIPES[name], without_memory(measured)).remarks == []
    assert measured.gaps == ()
    assert measured.decoded_seconds == pytest.approx(WHOLE[name], abs=0.12)


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_missing_is_a_gap_with_its_times(name: str, workshop: Workshop) -> None:
    measured = measure(RECIPES[name], workshop)

    assert verdict(RECIPES[name], without_memory(measured)).remarks == []
    assert [gap[:2] for gap in measured.gaps] == [pytest.approx(DAMAGED[name], abs=0.3)]


@pytest.mark.parametrize("name", CHANGING)
def test_a_transport_stream_is_heard_on_where_its_tables_name_other_streams(name: str, workshop: Workshop) -> None:
    measured = measure(RECIPES[name], workshop)

    found = verdict(RECIPES[name], without_memory(measured))
    assert (found.silent_seconds, found.misplaced_seconds) == (0.0, 0.0)
    assert measured.gaps == ()
    assert measured.decoded_seconds == pytest.approx(20.0, abs=0.12)
