"""A restricted language: its words, its random sentences, and which of them training must not see."""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tools.tiny_parakeet.voices import TRAINING_VARIANTS

_HELD_OUT_SHARE = 20
"""One sentence in this many is kept out of training."""
_HELD_OUT_MIN_WORDS = 4
"""Shorter ones cannot be kept apart: there are too few of them."""

Pattern = Callable[[random.Random], str]
"""A kind of sentence, without its capital."""


@dataclass(frozen=True)
class Grammar:
    """What a tiny model is taught."""

    tag: str
    """BCP 47."""
    accents: tuple[str, ...]
    """espeak-ng's voice files."""
    spellings: tuple[str, ...]
    """Every word, as written inside a sentence."""
    patterns: tuple[Pattern, ...]
    weights: tuple[int, ...]
    """How often each pattern is drawn."""
    scale: float = 1.0
    """Size of the corpus: 1 is 34,000 sentences, 17 hours."""
    variants: tuple[str, ...] = TRAINING_VARIANTS
    """espeak-ng's voice variants that training hears. Fewer take less time, and say less of others."""

    @property
    def words(self) -> frozenset[str]:
        """Every word of the language, in lower case and without punctuation."""
        return frozenset(word.lower() for word in self.spellings)

    def random_sentence(self, rng: random.Random) -> str:
        """One sentence with its capital and its closing mark, for example "Anna opened the window again."."""
        return _capitalised(rng.choices(self.patterns, self.weights)[0](rng))

    def training_sentence(self, rng: random.Random) -> str:
        """A random sentence that evaluation never uses."""
        while is_held_out(sentence := self.random_sentence(rng)):
            pass
        return sentence

    def held_out_sentence(self, rng: random.Random) -> str:
        """A random sentence that training never uses."""
        while not is_held_out(sentence := self.random_sentence(rng)):
            pass
        return sentence

    def short_utterance(self, rng: random.Random) -> str:
        """One to three words in no order: the first thing the model learns from."""
        return _capitalised(salad(rng, self.spellings, rng.choice((1, 1, 2, 2, 3))))


def is_held_out(sentence: str) -> bool:
    """Whether a sentence belongs to evaluation. A property of its text, so the two sides cannot overlap."""
    long_enough = len(sentence.split()) >= _HELD_OUT_MIN_WORDS
    return long_enough and zlib.crc32(sentence.encode()) % _HELD_OUT_SHARE == 0


def salad(rng: random.Random, spellings: tuple[str, ...], length: int) -> str:
    """Words in no order, with a full stop."""
    return " ".join(rng.choice(spellings) for _ in range(length)) + "."


def words(text: str) -> tuple[str, ...]:
    """Words written with spaces between them."""
    return tuple(text.split())


def _capitalised(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
