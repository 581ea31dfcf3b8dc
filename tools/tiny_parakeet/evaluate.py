"""Measure a model on what it never trained on, and write its card.

python -m tools.tiny_parakeet.evaluate --model parakeet-tdt-tiny.nemo --corpus build/tiny_parakeet/corpus
"""

import argparse
import datetime
import hashlib
import itertools
import json
import logging
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from nemo.collections.asr.models import EncDecRNNTBPEModel
from nemo.utils import logging as nemo_logging
from numpy.typing import NDArray

from infra.recordings import Recording, shipped
from tools.tiny_parakeet import corpus, model
from tools.tiny_parakeet.corpus import SAMPLE_RATE
from tools.tiny_parakeet.espeak import Word
from tools.tiny_parakeet.languages import LANGUAGES
from tools.tiny_parakeet.mixing import Mixer
from tools.tiny_parakeet.noise import GENERATORS, NoiseBank
from tools.tiny_parakeet.scoring import Score, prepare, transcribe

_SEED = 20_261_120
"""Of noise and mixtures; training uses small seeds."""
_MIXTURES = 60
_MIXTURE_SECONDS = 20.0
_CHUNK_SECONDS = 20.0
_SILENCE_SECONDS = 0.3
_SILENCE_DB = -45.0
_BACKGROUND_COPIES = 10
_BACKGROUND_SECONDS = (5, 20)
_BACKGROUND_LEVEL = 0.1
_EDGE = np.zeros(SAMPLE_RATE // 10, np.float32)
"""100 ms of silence around single sentences."""


@dataclass(frozen=True)
class Training:
    """One run of the training script."""

    seed: int
    minutes: float
    steps: int
    audio_hours: float
    """Hours of mixed audio the model heard."""
    first_stage: int
    """Of the curriculum. Every run but the first continues from the one before."""
    learning_rate: float
    """At its peak."""
    batch_share: float = 1.0
    """Of the curriculum's audio in a step."""
    encoder_of: str | None = None
    """The model whose encoder the first weights are."""


def write_card(model_path: Path, corpus_folder: Path, trainings: list[Training], language: str) -> None:
    """Evaluate the model in a file and describe it in a JSON file beside it. The shipped recordings are English."""
    network = model.restored(model_path)
    prepare(network)
    card = {
        "model": model_path.name,
        "language": language,
        "sha256": hashlib.sha256(model_path.read_bytes()).hexdigest(),
        "bytes": model_path.stat().st_size,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": _machine(),
        "versions": _versions(),
        "training": [asdict(training) for training in trainings],
        "held_out_sentences": {
            "seen_voices": _score_sentences(network, corpus_folder, "seen"),
            "unseen_voices": _score_sentences(network, corpus_folder, "unseen"),
        },
        "held_out_sentences_mixed_with_noise": {
            "seen_voices": _score_mixtures(network, corpus_folder, "seen"),
            "unseen_voices": _score_mixtures(network, corpus_folder, "unseen"),
        },
        "recordings": {
            recording.path.name: _score_recording(network, recording)
            for recording in (shipped() if language == "en" else ())
        },
        "words_heard_in_background": _words_in_background(network),
    }
    model_path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def read_trainings(model_path: Path) -> list[Training]:
    """What the card beside a model says of its making."""
    return [Training(**run) for run in json.loads(model_path.with_suffix(".json").read_text())["training"]]


def write_trainings(model_path: Path, trainings: list[Training]) -> None:
    """Begin a card: how the model was made, not yet how good it is."""
    runs = {"training": [asdict(training) for training in trainings]}
    model_path.with_suffix(".json").write_text(json.dumps(runs, indent=2) + "\n")


def _score_sentences(network: EncDecRNNTBPEModel, corpus_folder: Path, part: str) -> dict[str, float | int]:
    """Single clean sentences. Their times count from the first sound, so the edge is taken off again."""
    bank = corpus.load(corpus_folder, part)
    waveforms = [np.concatenate([_EDGE, sentence.samples.astype(np.float32) / 32768, _EDGE]) for sentence in bank]
    offset = len(_EDGE) / SAMPLE_RATE
    score = Score()
    for sentence, recognized in zip(bank, transcribe(network, waveforms), strict=True):
        score.add(sentence.words, [Word(word.text, word.start - offset, word.end - offset) for word in recognized])
    return score.summary()


def _score_mixtures(network: EncDecRNNTBPEModel, corpus_folder: Path, part: str) -> dict[str, float | int]:
    """Several sentences with pauses and noise, as in training."""
    mixer = Mixer(corpus.load(corpus_folder, part), NoiseBank(_SEED), _SEED)
    examples = [mixer.speech(_MIXTURE_SECONDS) for _ in range(_MIXTURES)]
    score = Score()
    for example, recognized in zip(examples, transcribe(network, [each.samples for each in examples]), strict=True):
        score.add(example.words, recognized)
    return score.summary()


def _score_recording(network: EncDecRNNTBPEModel, recording: Recording) -> dict[str, float | int]:
    """A shipped recording, decoded by ffmpeg, in chunks cut at silences."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = (ffmpeg, "-loglevel", "error", "-nostdin", "-i", recording.path, "-vn", "-f", "f32le", "-ac", "1")
    decoded = subprocess.run((*command, "-ar", str(SAMPLE_RATE), "pipe:"), stdout=subprocess.PIPE, check=True).stdout
    samples = np.frombuffer(decoded, np.float32)
    cuts = cut_points(samples)
    chunks = [samples[begin:end].copy() for begin, end in itertools.pairwise(cuts)]
    recognized: list[Word] = []
    for begin, words in zip(cuts, transcribe(network, chunks), strict=False):
        offset = begin / SAMPLE_RATE
        recognized += [Word(word.text, word.start + offset, word.end + offset) for word in words]
    score = Score()
    score.add([Word(word.word, word.start, word.end) for word in recording.words], recognized)
    return score.summary()


def cut_points(samples: NDArray[np.float32]) -> list[int]:
    """Where to cut into chunks of at most 20 s: as late as possible, in the middle of a silence."""
    frame = SAMPLE_RATE // 100
    power = np.square(samples[: len(samples) // frame * frame]).reshape(-1, frame).mean(axis=1)
    silent = 10 * np.log10(power + 1e-12) < _SILENCE_DB
    changes = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]).astype(np.int8)))
    runs = zip(changes[::2], changes[1::2], strict=True)
    middles = [int(begin + end) // 2 * frame for begin, end in runs if end - begin >= _SILENCE_SECONDS * 100]
    cuts = [0]
    while len(samples) - cuts[-1] > _CHUNK_SECONDS * SAMPLE_RATE:
        limit = cuts[-1] + int(_CHUNK_SECONDS * SAMPLE_RATE)
        reachable = [middle for middle in middles if cuts[-1] < middle <= limit]
        cuts.append(reachable[-1] if reachable else limit)
    return [*cuts, len(samples)]


def _words_in_background(network: EncDecRNNTBPEModel) -> dict[str, int]:
    """Words heard where nobody speaks, by kind of sound: of 10 sounds of 5 s and 10 of 20 s each. All should be 0."""
    recognized: dict[str, int] = {}
    rng = np.random.default_rng(_SEED)
    lengths = [seconds * SAMPLE_RATE for seconds in _BACKGROUND_SECONDS for _ in range(_BACKGROUND_COPIES)]
    for kind, generate in GENERATORS.items():
        sounds = [generate(rng, length) for length in lengths]
        levelled = [sound * (_BACKGROUND_LEVEL / float(np.abs(sound).max())) for sound in sounds]
        recognized[kind] = sum(len(words) for words in transcribe(network, levelled))
    recognized["silence"] = sum(len(words) for words in transcribe(network, [np.zeros(n, np.float32) for n in lengths]))
    return recognized


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores {processors[0] if processors else platform.machine()}, no GPU"


def _versions() -> dict[str, str]:
    packages = ("nemo_toolkit", "torch", "numpy", "numba", "sentencepiece", "soxr", "kaldialign")
    espeak = subprocess.run(("espeak-ng", "--version"), stdout=subprocess.PIPE, text=True, check=True).stdout
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "espeak-ng": espeak.split(":")[1].split()[0],
    }


def main() -> None:
    """Evaluate again and write the card anew; what it says of the training stays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus that training left behind")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    arguments = parser.parse_args()
    nemo_logging.setLevel(logging.ERROR)
    write_card(arguments.model, arguments.corpus, read_trainings(arguments.model), arguments.language)


if __name__ == "__main__":
    main()
