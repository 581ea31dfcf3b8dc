"""Ten-minute recordings in three containers: right words, right times, nothing lost or doubled where chunks meet."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from gpu_job.audio.chunker import chunks
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.settings import JobSettings
from infra.recordings import recording
from tests.support.converted_recordings import Convert
from tests.support.user_client import UserClient
from tests.support.word_alignment import align_words, at_joins, check_times, word_error_rate

VIDEO = ("-f", "lavfi", "-i", "color=c=black:s=64x64:r=5")
SOURCES = {"seen.m4a": "long_seen", "seen.mp3": "long_seen", "unseen.mp4": "long_unseen"}
MOST_AT_JOINS = {"long_seen": 1, "long_unseen": 2}
"""Words lost or made up near any of about twenty joins or more: none and one when this was written."""
WORST_ERROR_RATE = {"long_seen": 0.05, "long_unseen": 0.10}


@pytest.fixture(scope="module")
def files(convert: Convert) -> dict[str, Path]:
    return {
        "seen.m4a": convert("long_seen", "seen.m4a", after=("-c:a", "aac", "-b:a", "64k")),
        "seen.mp3": convert("long_seen", "seen.mp3", after=("-c:a", "libmp3lame", "-b:a", "64k")),
        "unseen.mp4": convert(
            "long_unseen", "unseen.mp4", *VIDEO, after=("-c:v", "mpeg4", "-c:a", "aac", "-b:a", "64k", "-shortest")
        ),
    }


def test_words_times_and_joins(user: UserClient, files: dict[str, Path]) -> None:
    names = {name: user.drop(path, f"ten/{name}") for name, path in files.items()}
    messages = user.outcomes(names.values())
    for name, path in files.items():
        message, truth = messages[names[name]], recording(SOURCES[name])
        assert message["outcome"] == "completed", message["reason"]
        transcript = user.result(message, "transcript.json")
        check_times(transcript)
        steps = align_words(truth, transcript["words"])
        assert word_error_rate(steps) < WORST_ERROR_RATE[SOURCES[name]], name
        assert median(abs(step.off) for step in steps if step.off is not None) < 0.1, name
        places = joins(path)
        assert len(places) > 15
        assert len(at_joins(steps, places)) <= MOST_AT_JOINS[SOURCES[name]], at_joins(steps, places)


def joins(path: Path) -> list[float]:
    """Where the job's chunks of a file meet, in seconds."""
    cutting = CutRules(max_seconds=JobSettings.model_fields["chunk_seconds"].default)
    cut = list(chunks(decode(path), cutting))
    return [(before.end + after.start) / 2 / SAMPLE_RATE for before, after in pairwise(cut)]
