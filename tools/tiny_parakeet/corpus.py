"""The bank of single sentences that training examples are mixed from: synthesised once, kept as flat int16 files.

Sentences come in runs of one speaker, so that neighbours in the bank can be joined into one person's speech.
"""

import argparse
import json
import logging
import multiprocessing
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soxr
from numpy.typing import NDArray

from tools.tiny_parakeet.espeak import Espeak, Word
from tools.tiny_parakeet.languages import LANGUAGES
from tools.tiny_parakeet.languages.grammar import Grammar
from tools.tiny_parakeet.voices import random_voice

SAMPLE_RATE = 16_000
"""Hz, Parakeet's."""

_log = logging.getLogger(__name__)

_SPEED_RANGE = (0.85, 1.18)
"""Resampling by these factors moves pitch, formants and tempo together: throats of other sizes."""


@dataclass(frozen=True)
class Codec:
    """A lossy encoder as ffmpeg names it."""

    suffix: str
    options: tuple[str, ...]


_OPUS = ("-c:a", "libopus", "-compression_level", "2", "-b:a")
_CODECS = (
    None,
    None,
    None,
    Codec("opus", (*_OPUS, "16k")),
    Codec("opus", (*_OPUS, "24k")),
    Codec("mp3", ("-c:a", "libmp3lame", "-b:a", "32k")),
)
"""One choice per shard: half of the shards are left clean."""


@dataclass(frozen=True)
class Part:
    """One named part of the corpus."""

    name: str
    sentence: Callable[[random.Random], str]
    seen_voices: bool
    run_length: int
    """Sentences by one speaker before the next takes over."""
    shards: int
    sentences_per_shard: int


def parts(grammar: Grammar) -> tuple[Part, ...]:
    """The parts of a language's corpus."""
    short, train = round(12 * grammar.scale), round(48 * grammar.scale)
    return (
        Part("short", grammar.short_utterance, seen_voices=True, run_length=2, shards=short, sentences_per_shard=900),
        Part("train", grammar.training_sentence, seen_voices=True, run_length=6, shards=train, sentences_per_shard=480),
        Part("seen", grammar.held_out_sentence, seen_voices=True, run_length=6, shards=1, sentences_per_shard=480),
        Part("unseen", grammar.held_out_sentence, seen_voices=False, run_length=6, shards=1, sentences_per_shard=480),
    )


@dataclass(frozen=True)
class Sentence:
    """One spoken sentence of the bank."""

    samples: NDArray[np.int16]
    """[samples] at 16 kHz, beginning with the first sound and ending with the last."""
    text: str
    words: tuple[Word, ...]
    voice: str
    speaker: int
    """Equal for neighbours by the same speaker."""


def load(folder: Path, part: str) -> list[Sentence]:
    """Read a part of the bank back; the samples stay on disk until they are used."""
    bank: list[Sentence] = []
    for index_file in sorted(folder.glob(f"{part}-*.json")):
        samples = np.load(index_file.with_suffix(".npy"), mmap_mode="r")
        for entry in json.loads(index_file.read_text()):
            words = tuple(Word(*word) for word in entry["words"])
            begin, end = entry["span"]
            bank.append(Sentence(samples[begin:end], entry["text"], words, entry["voice"], entry["speaker"]))
    if not bank:
        raise FileNotFoundError(f"no part {part!r} of the corpus in {folder}")
    return bank


def build(folder: Path, seed: int, grammar: Grammar, processes: int = 2) -> None:
    """Synthesise whatever part of the bank is missing from the folder. Equal seeds give equal banks."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(folder, seed, grammar.tag, part, shard) for part in parts(grammar) for shard in range(part.shards)]
    tasks = [task for task in tasks if not _index_file(folder, task[3], task[4]).exists()]
    # Each process has its own espeak-ng, which is not reentrant.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, seconds in enumerate(pool.imap_unordered(_build_shard, tasks), start=1):
            _log.info("corpus shard %d of %d: %.0f s of speech", done, len(tasks), seconds)


def _index_file(folder: Path, part: Part, shard: int) -> Path:
    return folder / f"{part.name}-{shard:03d}.json"


def _build_shard(task: tuple[Path, int, str, Part, int]) -> float:
    """Write one shard, return its seconds of speech."""
    folder, seed, tag, part, shard = task
    rng = random.Random(f"{seed}/{part.name}/{shard}")
    sentences = list(_synthesise(Espeak(), rng, LANGUAGES[tag], part, shard))
    flat = np.concatenate([sentence.samples for sentence in sentences])
    codec = rng.choice(_CODECS)
    if codec is not None:
        flat = _through_codec(flat, codec)
    ends = np.cumsum([len(sentence.samples) for sentence in sentences]).tolist()
    index = [
        {
            "span": [end - len(sentence.samples), end],
            "text": sentence.text,
            "words": [[word.text, round(word.start, 3), round(word.end, 3)] for word in sentence.words],
            "voice": sentence.voice,
            "speaker": sentence.speaker,
        }
        for sentence, end in zip(sentences, ends, strict=True)
    ]
    index_file = _index_file(folder, part, shard)
    np.save(index_file.with_suffix(".npy"), flat)
    index_file.write_text(json.dumps(index))
    return len(flat) / SAMPLE_RATE


def _synthesise(espeak: Espeak, rng: random.Random, grammar: Grammar, part: Part, shard: int) -> Iterator[Sentence]:
    for number in range(part.sentences_per_shard):
        if number % part.run_length == 0:
            voice = random_voice(rng, grammar.accents, seen=part.seen_voices, variants=grammar.variants)
            speed = rng.uniform(*_SPEED_RANGE)
        text = part.sentence(rng)
        speech = espeak.say(text, voice)
        samples = soxr.resample(speech.samples, speech.sample_rate * speed, SAMPLE_RATE)
        words = tuple(Word(word.text, word.start / speed, word.end / speed) for word in speech.words)
        speaker = shard * part.sentences_per_shard + number // part.run_length
        # 0.9 leaves room for the overshoot of resampling and codecs.
        yield Sentence((samples * 0.9 * 32767).clip(-32768, 32767).astype(np.int16), text, words, voice.name, speaker)


def _through_codec(samples: NDArray[np.int16], codec: Codec) -> NDArray[np.int16]:
    """Encode and decode again. ffmpeg takes the encoder's delay back out, so times stay as they are."""
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin")
    raw = ("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1")
    with tempfile.TemporaryDirectory() as folder:
        # Files, not pipes: the header that tells an MP3's delay is written last, by seeking back.
        plain, packed = Path(folder, "plain.raw"), Path(folder, f"packed.{codec.suffix}")
        plain.write_bytes(samples.tobytes())
        subprocess.run((*ffmpeg, *raw, "-i", plain, *codec.options, packed), check=True)
        subprocess.run((*ffmpeg, "-y", "-i", packed, *raw, plain), check=True)
        decoded = np.fromfile(plain, np.int16)[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


def main() -> None:
    """Synthesise the corpus alone; `tools.tiny_parakeet.train` does it by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    build(arguments.folder, arguments.seed, LANGUAGES[arguments.language], arguments.processes)


if __name__ == "__main__":
    main()
