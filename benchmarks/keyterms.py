"""Key terms: how many are heard, and how many are written where they are not said, with and without boosting.

On made sentences of the tiny model's language in noise, for it can write hardly a word of any other: a tree cannot have
it write names that it never learned. So the terms are words that it knows and mishears. That bounds what boosting can
bring here; what it must not do, make other words worse, is measured as it is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from kaldialign import edit_distance

from benchmarks.report import Measurement
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.onnx.load import load
from gpu_job.asr.tokens import words_of
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from infra.tiny_parakeet import ONNX_PATH
from shared.keyterms.report import DOUBTFUL_CONFIDENCE
from shared.keyterms.terms import MOST_KEYTERMS, Keyterm
from shared.transcript.model import Word
from tools.tiny_parakeet.espeak import Espeak
from tools.tiny_parakeet.languages.english import ENGLISH, NAMES, NOUNS
from tools.tiny_parakeet.voices import random_voice

SENTENCES = 240
SIGNAL_TO_NOISE_DB = (8, 0)
WEIGHTS = (1.0, 2.0)
BATCH = 16
SEED = 15

TERMS = (*NAMES, *NOUNS)
"""Words that may be terms."""

OTHERS = 10
"""Terms of a sentence's list that it does not say."""

_CONSONANTS, _VOWELS, _ENDS = "bcdfghklmnprstvw", "aeiou", ("n", "s", "r", "l", "")


@dataclass(frozen=True)
class Spoken:
    """A sentence and its sound."""

    text: str
    samples: Samples


@dataclass(frozen=True)
class Score:
    """What a run wrote, against what was said."""

    said: int
    found: int
    false: int
    word_errors: float
    """Share of all words."""
    doubtful_false: int
    doubtful_right: int


def keyterms() -> Iterator[Measurement]:
    """Recall of terms and false inserts, by noise and weight; word errors with a full list of terms nobody says."""
    model = load(ONNX_PATH, "fp32", BatchLimits(BATCH, 320 * SAMPLE_RATE))

    def run(spoken: Sequence[Spoken], lists: Sequence[Sequence[str]], weight: float = 1.0) -> list[list[Word]]:
        terms = [tuple(Keyterm(phrase=phrase, weight=weight) for phrase in phrases) for phrases in lists]
        words: list[list[Word]] = []
        for at in range(0, len(spoken), BATCH):
            batch = [one.samples for one in spoken[at : at + BATCH]]
            prepared = model.prepare_with_keyterms(batch, terms[at : at + BATCH])  # type: ignore[attr-defined]
            words += [words_of(tokens) for tokens in model.finish(model.run(prepared))]
        return words

    unsaid = unsaid_terms()
    for decibels in SIGNAL_TO_NOISE_DB:
        spoken = sentences(decibels)
        where = f"at {decibels} dB"
        lists = [fitting_terms(number, one.text) for number, one in enumerate(spoken)]
        before = score(spoken, run(spoken, [()] * len(spoken)), lists)
        yield from _terms(f"key terms {where}, without boosting", before)
        for weight in WEIGHTS:
            after = score(spoken, run(spoken, lists, weight), lists)
            yield from _terms(f"key terms {where}, weight {weight:g}", after)
        useless = [unsaid] * len(spoken)
        irrelevant = score(spoken, run(spoken, useless), useless)
        note = f"without terms {100 * before.word_errors:.2f} %; {irrelevant.false} of {len(unsaid)} terms written"
        value = 100 * irrelevant.word_errors
        yield Measurement(f"word errors {where} with {len(unsaid)} terms that nobody says", value, "%", note, "", None)


def _terms(name: str, found: Score) -> Iterator[Measurement]:
    right = f"{found.found} of {found.said}; word errors {100 * found.word_errors:.2f} %"
    yield Measurement(f"{name}: recall", 100 * found.found / found.said, "%", right, "", None)
    note = f"{found.doubtful_false} of them marked doubtful, and {found.doubtful_right} right ones"
    yield Measurement(f"{name}: false inserts", found.false, "", note, "", None)


def sentences(decibels: float) -> list[Spoken]:
    """Sentences that the model was not trained on, in white noise so many dB below the speech, the longest first."""
    draw, dice, espeak = random.Random(SEED), np.random.default_rng(SEED), Espeak()
    made = []
    for _ in range(SENTENCES):
        text = ENGLISH.held_out_sentence(draw)
        speech = espeak.say(text, random_voice(draw, ENGLISH.accents, seen=True))
        sound = np.pad(soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE), SAMPLE_RATE // 5)
        level = float(np.sqrt(np.mean(sound**2))) * 10 ** (-decibels / 20)
        noisy = sound + dice.standard_normal(len(sound)) * level
        made.append(Spoken(text, noisy.astype(np.float32)))
    return sorted(made, key=lambda one: -len(one.samples))


def fitting_terms(seed: int, text: str) -> list[str]:
    """A list as an owner has it who knows what a recording is about: what it says, and some of what it does not."""
    said = {_plain(word) for word in text.split()}
    own, others = ([term for term in TERMS if (_plain(term) in said) is wanted] for wanted in (True, False))
    return [*own, *random.Random(seed).sample(others, OTHERS)]


def unsaid_terms() -> list[str]:
    """As many made-up names as an upload may have."""
    draw, found = random.Random(SEED), dict[str, None]()
    while len(found) < MOST_KEYTERMS:
        syllables = (draw.choice(_CONSONANTS) + draw.choice(_VOWELS) for _ in range(draw.randint(2, 4)))
        name = "".join(syllables) + draw.choice(_ENDS)
        if name not in ENGLISH.words:
            found[name.capitalize()] = None
    return list(found)


def score(spoken: Sequence[Spoken], heard: Sequence[Sequence[Word]], lists: Sequence[Sequence[str]]) -> Score:
    """Each sentence's terms: one is found as often as both say it, and false as often as it is written once more."""
    said = found = false = errors = count = doubtful_false = doubtful_right = 0
    for one, words, terms in zip(spoken, heard, lists, strict=True):
        wanted = {_plain(term) for term in terms}
        truth, written = [_plain(word) for word in one.text.split()], [_plain(word.text) for word in words]
        errors += int(edit_distance(truth, written)["total"])
        count += len(truth)
        true, got = (Counter(word for word in each if word in wanted) for each in (truth, written))
        said, found, false = said + true.total(), found + (true & got).total(), false + (got - true).total()
        for word, text in zip(words, written, strict=True):
            if text in wanted and word.confidence is not None and word.confidence < DOUBTFUL_CONFIDENCE:
                doubtful_right += text in true
                doubtful_false += text not in true
    return Score(said, found, false, errors / count, doubtful_false, doubtful_right)


def _plain(text: str) -> str:
    return text.lower().strip(".,?!")
