"""Whose voice it is: means of what is heard of a speaker alone, compared with kept ones, unknown rather than wrong."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.speakers.networks import EMBEDDING_NETWORK, EMBEDDING_SIZE, FRAME_SECONDS, FRAMES
from gpu_job.speakers.turns import Turn
from gpu_job.speakers.voices import (
    CLEARLY_NEARER,
    LEAST_VOICE_SECONDS,
    SAME_VOICE_COSINE,
    VOICE_MODEL,
    known_voices,
    voices_of_turns,
)
from gpu_job.speakers.windows import STEP, Piece, SpeakerWindow
from shared.clock import now
from shared.voices.model import KeptVoice, Voice, VoiceSample

Vector = NDArray[np.float32]


def axis(number: int) -> Vector:
    """People who have nothing in common."""
    return np.eye(EMBEDDING_SIZE, dtype=np.float32)[number]


def like(one: Vector, cosine: float, other: Vector) -> Vector:
    return np.asarray(cosine * one + np.sqrt(1 - cosine**2) * other, np.float32)


def voice(vector: Vector, model: str = VOICE_MODEL) -> Voice:
    return Voice(model=model, seconds=20.0, embedding=tuple(map(float, vector)))


def kept(name: str, *vectors: Vector, model: str = VOICE_MODEL) -> KeptVoice:
    samples = (
        VoiceSample(**dict(voice(vector, model)), job_id=f"job-{at}", speaker=0, added_at=now())
        for at, vector in enumerate(vectors)
    )
    return KeptVoice(name=name, samples=tuple(samples))


ANN, BEN, NOISE, MORE_NOISE = axis(0), axis(1), axis(2), axis(3)


def test_a_speaker_is_the_kept_voice_that_they_sound_like_and_the_score_says_how_much() -> None:
    speakers = {0: voice(like(BEN, 0.9, NOISE)), 1: voice(like(ANN, 0.85, NOISE)), 2: voice(NOISE)}
    found = known_voices(speakers, [kept("Ann", ANN), kept("Ben", BEN)])
    assert {number: (one.name, one.score) for number, one in found.items()} == {0: ("Ben", 0.9), 1: ("Ann", 0.85)}


def test_whoever_sounds_less_alike_or_like_two_is_nobody() -> None:
    below = voice(like(ANN, SAME_VOICE_COSINE - 0.01, NOISE))
    assert known_voices({0: below}, [kept("Ann", ANN)]) == {}
    above = voice(like(ANN, SAME_VOICE_COSINE + 0.01, NOISE))
    assert known_voices({0: above}, [kept("Ann", ANN)])[0].name == "Ann"
    twin = like(ANN, 1 - CLEARLY_NEARER / 2, MORE_NOISE)
    assert known_voices({0: voice(ANN)}, [kept("Ann", ANN), kept("Twin", twin)]) == {}


def test_two_speakers_are_never_the_same_person_and_the_nearest_one_is() -> None:
    speakers = {0: voice(like(ANN, 0.85, NOISE)), 1: voice(like(ANN, 0.95, NOISE))}
    assert {number: one.name for number, one in known_voices(speakers, [kept("Ann", ANN)]).items()} == {1: "Ann"}


def test_a_name_that_a_speaker_has_already_goes_to_nobody_else() -> None:
    assert known_voices({1: voice(ANN)}, [kept("Ann", ANN)], taken=("Ann",)) == {}


@pytest.mark.parametrize("model", ["another/1", "campplus-zh-en-common-8bit/0"])
def test_embeddings_of_two_networks_are_not_compared(model: str) -> None:
    assert known_voices({0: voice(ANN)}, [kept("Ann", ANN, model=model)]) == {}
    assert known_voices({0: voice(ANN, model)}, [kept("Ann", ANN)]) == {}
    # What is no embedding of this network's size is nobody's, either.
    short = KeptVoice(
        name="Ann",
        samples=(VoiceSample(model=VOICE_MODEL, seconds=9, embedding=(1.0,), job_id="j", speaker=0, added_at=now()),),
    )
    assert known_voices({0: voice(ANN)}, [short]) == {}


def test_a_voice_of_several_recordings_is_their_mean() -> None:
    both = kept("Ann", like(ANN, 0.8, NOISE), like(ANN, 0.8, -NOISE))
    assert known_voices({0: voice(ANN)}, [both])[0].score == pytest.approx(1.0, abs=0.001)


def test_another_network_is_another_version() -> None:
    """Whoever changes the file changes VOICE_MODEL: kept voices say nothing about other networks' embeddings."""
    digest = hashlib.sha256(EMBEDDING_NETWORK.read_bytes()).hexdigest()
    assert {VOICE_MODEL: digest} == {"campplus-zh-en-common-8bit/1": DIGEST}


def window(number: int, *pieces: tuple[float, float, Vector]) -> SpeakerWindow:
    """Pieces by seconds from the window's start."""
    made = (Piece(round(start / FRAME_SECONDS), round(end / FRAME_SECONDS), vector) for start, end, vector in pieces)
    return SpeakerWindow(number * STEP, np.zeros(FRAMES, np.uint8), tuple(made))


def test_a_voice_is_the_mean_of_what_a_speaker_says_alone() -> None:
    windows = [
        window(0, (0.5, 2.5, like(ANN, 0.9, NOISE)), (3.0, 5.0, BEN)),
        window(1, (0.5, 2.5, like(ANN, 0.9, -NOISE)), (3.0, 5.0, BEN)),
        window(2, (0.5, 2.5, ANN), (3.0, 3.5, NOISE), (5.5, 7.5, NOISE)),
        window(3, (2.6, 5.0, ANN)),
    ]
    turns = [
        Turn(0.4, 2.6, 0),
        Turn(3.0, 5.0, 1),
        Turn(5.4, 7.6, 0),
        Turn(8.0, 10.0, 1),
        Turn(10.4, 12.6, 0),
        Turn(13.0, 13.5, 0),  # too short a piece
        Turn(15.0, 18.0, 0),
        Turn(15.5, 17.0, 1),  # two at once: the piece is nobody's
        Turn(18.0, 20.5, 0),
    ]
    found = voices_of_turns(windows, turns)
    assert list(found) == [0]  # of the other one there are four seconds
    assert found[0].seconds == pytest.approx(8.4, abs=0.2)
    assert found[0].seconds >= LEAST_VOICE_SECONDS
    assert found[0].model == VOICE_MODEL
    vector = np.array(found[0].embedding)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)
    assert float(vector @ ANN) > 0.99


def test_nobody_has_no_voice() -> None:
    assert voices_of_turns([], []) == {}
    assert known_voices({}, [kept("Ann", ANN)]) == {}
    assert known_voices({0: voice(ANN)}, []) == {}


DIGEST = "c66aac4c94170bd376ab76e67e156a42f5299ec11c0f013418959d24b218af9a"
