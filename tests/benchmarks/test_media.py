"""The benchmark `media`: tones that every codec keeps, recipes that make what they say, verdicts on made-up results."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from benchmarks.media.bench import recipes
from benchmarks.media.edits import Cut, FlacSamples, Patched, Prefixed
from benchmarks.media.format_table import FORMATS, NOT_COVERED, format_named
from benchmarks.media.formats import SECONDS, WHOLE
from benchmarks.media.measure import Measured, Place
from benchmarks.media.peer import peer_decode
from benchmarks.media.recipes import NotMade, Recipe, Workshop
from benchmarks.media.tones import CELLS, SESSIONS, heard, sequence, session_sound
from benchmarks.media.verdict import verdict
from gpu_job.audio.samples import SAMPLE_RATE

FFMPEG = str(imageio_ffmpeg.get_ffmpeg_exe())
CELL = 1 / CELLS


def cells_of(session: str, first: float, last: float) -> range:
    return range(round(first * CELLS), round(last * CELLS))


def test_no_second_of_any_session_is_like_another() -> None:
    seconds = [
        tuple(tones[start : start + CELLS])
        for tones in map(sequence, SESSIONS)
        for start in range(len(tones) - CELLS + 1)
    ]

    assert len(set(seconds)) == len(seconds)


def test_what_is_left_out_and_moved_is_found_where_it_is() -> None:
    spoken = session_sound("A", 0.0, 12.0, SAMPLE_RATE)
    pause = np.zeros(3 * SAMPLE_RATE, np.float32)
    cut = np.concatenate([pause, spoken[: 5 * SAMPLE_RATE], spoken[7 * SAMPLE_RATE :]]) / 64

    found = {one.cell: one.at for one in heard(cut).find("A", cells_of("A", 0.0, 12.0))}

    assert set(found) == {*cells_of("A", 0.0, 5.0), *cells_of("A", 7.0, 12.0)}
    assert all(abs(at - cell * CELL - (3.0 if cell < 25 else 1.0)) < 0.03 for cell, at in found.items())
    assert heard(cut).find("B", cells_of("B", 0.0, 12.0)) == []


def test_noise_holds_no_session() -> None:
    noise = np.random.default_rng(3).standard_normal(20 * SAMPLE_RATE).astype(np.float32) / 10

    assert [heard(noise).find(session, cells_of(session, 0.0, 12.0)) for session in SESSIONS] == [[]] * len(SESSIONS)


@pytest.mark.parametrize(
    "name",
    ["amr libopencore_amrnb", "wav g723_1", "mka real_144", "mp3 libmp3lame", "opus libopus", "wav pcm_mulaw"],
)
def test_codecs_made_for_speech_keep_the_tones(name: str, tmp_path: Path) -> None:
    one = format_named(name)
    path = Workshop(tmp_path, FFMPEG).file(Recipe(name, "whole", one.encoding(), one.truth((WHOLE,), SECONDS)))

    decoded = peer_decode(FFMPEG, path, 0, (0,))

    assert decoded is not None
    found = heard(decoded).find("A", cells_of("A", 0.0, SECONDS))
    assert len(found) == SECONDS * CELLS
    assert all(abs(one.at - one.cell * CELL) < 0.1 for one in found)


def test_every_audio_encoder_of_this_ffmpeg_is_covered_or_named() -> None:
    listed = subprocess.run([FFMPEG, "-v", "error", "-encoders"], capture_output=True, text=True, check=True).stdout
    encoders = set(re.findall(r"^ A[.A-Z]{5} (\w+)", listed, re.MULTILINE))

    assert encoders - {one.codec for one in FORMATS} == NOT_COVERED.keys()


def test_there_are_enough_files_with_names_and_files_of_their_own() -> None:
    every = recipes()

    assert len(every) >= 300
    assert max(Counter(recipe.name for recipe in every).values()) == 1
    assert len({recipe.kind for recipe in every}) > 15
    assert {"whole", "cut in half", "bytes missing inside", "appended session"} <= {recipe.kind for recipe in every}


def test_edits_change_the_bytes_they_name() -> None:
    workshop = Workshop(Path("unused"), FFMPEG)
    flac = b"fLaC" + bytes(14) + ((16_000 << 44) | (1 << 40) | 192_000).to_bytes(8) + bytes(8)

    assert Cut(0.5).apply(bytes(10), workshop) == bytes(5)
    assert Patched(b"data", 2, b"xy").apply(b"..data1234", workshop) == b"..data12xy"
    assert len(Prefixed("id3", 4000).apply(b"", workshop)) == 4010
    assert int.from_bytes(FlacSamples(0.25).apply(flac, workshop)[18:26]) & (1 << 36) - 1 == 48_000
    with pytest.raises(NotMade):
        Patched(b"moov", 0, b"").apply(b"RIFF", workshop)


RECIPE = next(recipe for recipe in recipes() if recipe.name == "mka aac, whole")
CUT = next(recipe for recipe in recipes() if recipe.name == "mka aac, cut in half")


def measured(found_until: float, shift: float = 0.0, **more: object) -> Measured:
    """A result in which the session was found from its start until a time, so much too late."""
    places = tuple(
        Place("A", cell, cell * CELL, cell * CELL + shift if cell * CELL < found_until else None, peer_found=True)
        for cell in cells_of("A", 0.0, SECONDS)
    )
    result = Measured(stated_seconds=SECONDS, decoded_seconds=found_until, peer_seconds=found_until, places=places)
    return replace(result, **more)  # type: ignore[arg-type]


def test_all_of_a_whole_file_is_right() -> None:
    assert verdict(RECIPE, measured(SECONDS)).is_right


def test_missing_seconds_without_a_gap_are_a_silent_loss() -> None:
    found = verdict(CUT, measured(6.0))

    assert found.silent_seconds == pytest.approx(6.0)
    assert found.is_length_wrong


def test_missing_seconds_in_a_gap_are_no_loss() -> None:
    found = verdict(CUT, measured(6.0, gaps=((6.0, SECONDS, "cut"),)))

    assert found.is_right
    assert found.true_gaps == 1


def test_a_gap_elsewhere_is_false_and_explains_nothing() -> None:
    found = verdict(CUT, measured(6.0, gaps=((1.0, 3.0, "damaged"),)))

    assert found.false_gaps == 1
    assert found.silent_seconds == pytest.approx(6.0)


def test_sound_that_stands_elsewhere_is_misplaced() -> None:
    assert verdict(RECIPE, measured(SECONDS, shift=0.5)).misplaced_seconds == pytest.approx(SECONDS)
    assert verdict(RECIPE, measured(SECONDS, shift=0.08)).is_right


def test_a_usual_file_is_not_rejected_and_a_rare_one_with_its_reason() -> None:
    rare = next(recipe for recipe in recipes() if recipe.name == "mlp mlp, whole")

    assert verdict(RECIPE, Measured(rejected="a container that is not read: X")).is_rejected_wrongly
    assert not verdict(rare, measured(0.0, rejected="a container that is not read: MLP")).is_rejected_wrongly
    assert verdict(rare, measured(0.0, rejected="The file is damaged.")).is_rejected_wrongly


def test_too_much_memory_and_crashes_are_crashes() -> None:
    assert verdict(RECIPE, measured(SECONDS, child_megabytes=1500.0)).is_crashed
    assert verdict(RECIPE, Measured(error="hangs")).is_crashed
