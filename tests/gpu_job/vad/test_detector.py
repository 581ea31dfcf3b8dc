"""Speech detection: the shipped network's own answers, found in speech and not in other sound, from any thread."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.queries import FAINT_SPEECH, SPEECH
from gpu_job.vad.detector import SpeechDetector
from gpu_job.vad.segments import FRAME, VadThresholds, speech_segments
from gpu_job.vad.silero import NETWORK
from infra.recordings import Recording, recording, shipped
from tests.support.sounds import music, noise, silence, tone
from tools.silero_vad.make_network import main, shipped_network

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")


@cache
def samples_of(name: str) -> Samples:
    return np.concatenate(list(decode(recording(name).path)))


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


def by_the_package(samples: Samples) -> NDArray[np.float32]:
    """The shipped network as the package runs it: frame by frame on torch, with state between them."""
    network = torch.jit.load(str(shipped_network().with_name("silero_vad.jit"))).eval()
    padded = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    with torch.inference_mode():
        return np.array([network(torch.from_numpy(frame), SAMPLE_RATE).item() for frame in padded], np.float32)


def test_the_probabilities_are_those_of_the_package(detector: SpeechDetector) -> None:
    for samples in (samples_of("memo.wav"), noise(1.7, -20), silence(0.5)):
        assert np.allclose(detector.probabilities(samples), by_the_package(samples), atol=1e-4)


@pytest.mark.parametrize("name", ["call.opus", "lecture.flac", "podcast.mp3", "stream.mp4"])
def test_the_segments_of_a_recording_are_those_of_the_package(detector: SpeechDetector, name: str) -> None:
    samples = samples_of(name)
    ours, theirs = detector.probabilities(samples), by_the_package(samples)
    for rules in (VadThresholds(), SPEECH, FAINT_SPEECH):
        found = speech_segments(ours, rules)
        assert found == speech_segments(theirs, rules)
        assert len(found) > 1


def test_the_shipped_file_is_made_of_the_packages_weights(tmp_path: Path) -> None:
    main(tmp_path / "made.onnx")
    assert (tmp_path / "made.onnx").read_bytes() == NETWORK.read_bytes()


@pytest.mark.parametrize("one", shipped(), ids=lambda one: one.path.name)
def test_words_are_speech(detector: SpeechDetector, one: Recording) -> None:
    """All but one in a thousand by the common rules, and each by the rules that decide whether a word may go."""
    probabilities, second = detector.probabilities(samples_of(one.path.name)), SAMPLE_RATE / FRAME
    for rules, misses in ((SPEECH, 0.001), (FAINT_SPEECH, 0.0)):
        found = speech_segments(probabilities, rules)
        missed = [
            word for word in one.words if not any(a < word.end * second and b > word.start * second for a, b in found)
        ]
        assert len(missed) <= misses * len(one.words)


def test_pauses_are_not_speech(detector: SpeechDetector) -> None:
    one = recording("long_unseen.opus")
    pauses = [(a.end, b.start) for a, b in zip(one.words, one.words[1:], strict=False) if b.start - a.end > 2.0]
    stretches = detector.speech(samples_of("long_unseen.opus"))
    assert len(pauses) >= 3
    for begin, end in pauses:
        assert not any(a < end - 0.5 and b > begin + 0.5 for a, b in stretches)


@pytest.mark.parametrize(
    "sound",
    [
        silence(10),
        noise(10, -20),
        noise(10, -50),
        tone(10, -20),
        tone(10, -10, 50) + tone(10, -20, 150),
        music(10, -20),
    ],
    ids=["silence", "loud noise", "soft noise", "tone", "hum", "music"],
)
def test_other_sound_is_not_speech(detector: SpeechDetector, sound: Samples) -> None:
    assert detector.speech(sound) == []


def test_soft_speech_is_speech(detector: SpeechDetector) -> None:
    samples = samples_of("memo.wav")
    loud, soft = (sum(b - a for a, b in detector.speech(part)) for part in (samples, samples * np.float32(0.01)))
    assert soft > 0.9 * loud


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME, FRAME + 1])
def test_a_window_may_have_any_length(detector: SpeechDetector, length: int) -> None:
    samples = samples_of("memo.wav")[16_000 : 16_000 + length]
    assert len(detector.probabilities(samples)) == -(-length // FRAME)
    assert all(0 <= a < b <= length / SAMPLE_RATE for a, b in detector.speech(samples))


def test_a_long_window_is_heard_as_one(detector: SpeechDetector) -> None:
    samples = samples_of("long_seen.opus")[: 80 * SAMPLE_RATE]
    assert np.allclose(detector.probabilities(samples)[:2000], detector.probabilities(samples[: 2000 * FRAME]))


def test_windows_do_not_know_of_each_other(detector: SpeechDetector) -> None:
    windows = [samples_of("memo.wav"), noise(3, -20), silence(2), samples_of("call.opus")] * 4
    alone = [detector.probabilities(window) for window in windows]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(detector.probabilities, windows))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_the_detector_needs_neither_torch_nor_the_package() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'silero_vad', 'onnx'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from gpu_job.vad.detector import SpeechDetector\n"
        "print(SpeechDetector().speech(np.zeros(16000, np.float32)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


RULES = VadThresholds(begins_at=0.5, ends_below=0.3, min_pause_seconds=0.1, min_speech_seconds=0.1)
"""Four frames of pause, four frames of speech."""


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], []),
        ([0.4] * 9, []),
        ([0.1, 0.6, 0.4, 0.4, 0.4, 0.2], [(1, 5)]),
        ([0.9] * 5, [(0, 5)]),
        ([0.9] * 4 + [0.1] * 3 + [0.9] * 4, [(0, 11)]),
        ([0.9] * 4 + [0.1] * 4 + [0.9] * 4, [(0, 4), (8, 12)]),
        ([0.1] + [0.9] * 3 + [0.1] * 9, []),
    ],
    ids=["nothing", "between", "lingers", "throughout", "short pause", "long pause", "short speech"],
)
def test_from_probabilities_to_stretches(probabilities: list[float], expected: list[tuple[int, int]]) -> None:
    assert speech_segments(np.array(probabilities, np.float32), RULES) == expected
