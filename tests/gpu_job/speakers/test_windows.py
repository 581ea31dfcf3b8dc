"""What is heard in one window, with a network that says what it is told to."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAMES, SETS, WINDOW, SpeakerNetworks, unit
from gpu_job.speakers.windows import SILENCE_DB, SpeakerWindow, hear, levels_of

SPEECH = slice(200, 350)


class Told(SpeakerNetworks):
    """Nobody speaks with one probability while it is loud, and surely else; if anybody, the first person."""

    def __init__(self, nobody: float) -> None:
        self._nobody = nobody

    def probabilities(self, window: Samples) -> NDArray[np.float32]:
        found = np.tile(np.eye(len(SETS), dtype=np.float32)[0], (FRAMES, 1))
        found[SPEECH] = 0.0
        found[SPEECH, 0], found[SPEECH, 1] = self._nobody, 1 - self._nobody
        return found

    def embedding(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit(np.ones(EMBEDDING_SIZE, np.float32))


def heard(nobody: float, db: float) -> SpeakerWindow:
    """Where the network may hear somebody, it is so much louder than in the rest of the window."""
    noise = np.random.default_rng(1).standard_normal(WINDOW).astype(np.float32) * np.float32(0.01)
    at = np.linspace(0, FRAMES, WINDOW)
    noise[(at >= SPEECH.start) & (at < SPEECH.stop)] *= np.float32(10 ** (db / 20))
    return hear(Told(nobody), 0, noise)


@pytest.mark.parametrize(
    ("nobody", "db", "speaks", "is_doubtful"),
    [
        (0.1, 0, True, False),
        (0.1, -40, True, False),
        (0.9, 0, True, True),
        (0.9, -40, False, True),
        (0.99, 20, False, True),
    ],
)
def test_what_is_as_loud_as_the_rest_is_heard_though_the_network_doubts_it(
    nobody: float, db: float, speaks: bool, is_doubtful: bool
) -> None:
    window = heard(nobody, db)
    assert (window.active[SPEECH, 0].mean() > 0.9) == speaks
    assert not window.active[: SPEECH.start].any()
    assert {piece.is_doubtful for piece in window.pieces} == ({is_doubtful} if speaks else set())


def test_levels_are_of_full_scale_and_silence_has_the_least() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(WINDOW) / SAMPLE_RATE).astype(np.float32)
    tone[WINDOW // 2 :] = 0
    levels = levels_of(tone)
    assert levels.shape == (FRAMES,)
    assert set(levels[: FRAMES // 2 - 1].tolist()) == {-3}
    assert set(levels[FRAMES // 2 + 1 :].tolist()) == {SILENCE_DB}


def test_who_is_likelier_alone_is_kept_in_tenths() -> None:
    alone = heard(0.9, 0).alone
    assert set(alone[SPEECH, 0].tolist()) == {round(10 * np.log(0.1))}
    assert set(alone[SPEECH, 1].tolist()) == {round(10 * np.log(1e-4))}
