"""Several tracks: a silent one does not hide one that sounds, and all of them can be mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_job.audio.decode import decode, decode_tracks
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.decoder.records import Account
from gpu_job.audio.parallel import ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audio.sounding_track import SoundingTrack
from shared.formats.tracks import AudioTrack
from shared.media import Media
from shared.transcript.model import Gap
from tests.support.sounds import make, stated

SILENT = ("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono,atrim=duration=6")


def sine(hertz: int, seconds: float = 6.0) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine={hertz}:duration={seconds}:sample_rate=48000")


def film(path: Path, *tracks: tuple[str, ...], default: int = 0) -> tuple[Path, Media]:
    """A file with these tracks, and what inspection says of it."""
    maps = [word for number in range(len(tracks)) for word in ("-map", str(number))]
    marks = [
        word
        for number in range(len(tracks))
        for word in (f"-disposition:a:{number}", "default" if number == default else "0")
    ]
    make(path, *(word for track in tracks for word in track), *maps, "-c:a", "libopus", *marks)
    listed = tuple(
        AudioTrack(number=number + 1, index=number, codec="opus", channels=1, is_default=number == default)
        for number in range(len(tracks))
    )
    media = stated(path, "matroska,webm", 6.0).model_copy(update={"tracks": listed, "track": default})
    return path, media


def heard(path: Path, media: Media) -> tuple[Samples, int, list[Gap]]:
    """The samples, the index of the track that they are of, and the gaps."""
    gaps: list[Gap] = []
    accounts: list[Account] = []
    one = ParallelDecoding(children=1)
    options = DecodeOptions(parallel=one, media=media, on_damage=gaps.append, on_account=accounts.append)
    track = SoundingTrack(path, options)
    samples = np.concatenate(list(track.blocks()))
    assert [account.frames for account in accounts] == [len(samples)]
    return samples, track.media.track, gaps


INAUDIBLE = 1e-20
"""Decoders keep silence a little off zero, where their filters are fast."""


def pitches(samples: Samples) -> set[int]:
    """The strongest frequencies of a second in the middle, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples[2 * SAMPLE_RATE : 3 * SAMPLE_RATE]))
    return set(np.flatnonzero(spectrum > spectrum.max() / 3).tolist()) if spectrum.max() > 1 else set()


def test_a_silent_default_track_beside_a_sounding_one_is_no_silence(tmp_path: Path) -> None:
    samples, track, gaps = heard(*film(tmp_path / "a.mka", SILENT, SILENT, sine(440)))
    assert (pitches(samples), track, gaps) == ({440}, 2, [])


def test_the_default_track_is_heard_first_though_it_begins_with_silence(tmp_path: Path) -> None:
    late = ("-f", "lavfi", "-i", "sine=880:duration=4:sample_rate=48000,adelay=2000")
    path, media = film(tmp_path / "a.mka", sine(440), late, default=1)
    samples, track, _ = heard(path, media)
    assert track == 1
    assert np.abs(samples[: int(1.9 * SAMPLE_RATE)]).max() < INAUDIBLE
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)
    assert pitches(samples) == {880}


def test_where_nothing_sounds_the_chosen_track_is_silent(tmp_path: Path) -> None:
    samples, track, gaps = heard(*film(tmp_path / "a.mka", SILENT, SILENT))
    assert (track, gaps) == (0, [])
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)
    assert not samples.any()


def test_a_silent_track_that_was_asked_for_stays_the_one_that_is_heard(tmp_path: Path) -> None:
    path, media = film(tmp_path / "a.mka", sine(440), SILENT)
    samples, track, _ = heard(path, media.model_copy(update={"track": 1}))
    assert (pitches(samples), track) == (set(), 1)


def test_all_tracks_mixed_last_as_long_as_the_longest(tmp_path: Path) -> None:
    path, media = film(tmp_path / "a.mka", sine(440, 4.0), sine(880, 6.0))
    samples = np.concatenate(list(decode_tracks(path, [0, 1])))
    assert len(samples) / SAMPLE_RATE == pytest.approx(6.0, abs=0.1)
    assert pitches(samples) == {440, 880}
    gaps: list[Gap] = []
    accounts: list[Account] = []
    mixing = media.model_copy(update={"mixes_tracks": True, "promised_seconds": 6.0})
    options = DecodeOptions(media=mixing, on_damage=gaps.append, on_account=accounts.append)
    mixed = np.concatenate(list(decode(path, options)))
    assert np.array_equal(mixed, samples)
    assert gaps == []
    assert [account.frames for account in accounts] == [len(mixed)]
