"""Joins: words lost, made up or misheard within a second of where chunks meet, and elsewhere, by way of cutting.

Ten-minute recordings with truth, as they are and with every pause taken out, so that nobody ever pauses.
"""

from __future__ import annotations

import atexit
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import kaldialign
import numpy as np
import soundfile  # type: ignore[import-untyped]  # ships no types

from benchmarks.report import Measurement
from benchmarks.transcription import LONGEST_BATCH_SECONDS, tiny_engine, transcribed
from gpu_job.asr.tokens import Token, words_of
from gpu_job.assembly.merge import ChunkTokens
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.settings import JobSettings
from gpu_job.transcription.setup import PipelineOptions
from infra.recordings import TrueWord, recording
from infra.tiny_parakeet import MODEL_PATH
from shared.transcript.model import Word

if TYPE_CHECKING:
    from gpu_job.asr.nemo.parakeet import Parakeet

NEAR_SECONDS = 1.0
"""How far from a join a word still counts as being at it."""
FIXED_SECONDS, FIXED_OVERLAP_SECONDS = 30.0, 5.0
"""The cuts of the design this project replaces, at their smallest overlap."""
CHUNK_SECONDS = (10, 15, 20, 30, 45, 60, 120)
_GAP = "*"


@dataclass(frozen=True)
class Speech:
    """A recording and its truth."""

    name: str
    path: Path
    samples: Samples
    words: tuple[TrueWord, ...]


@dataclass(frozen=True)
class Outcome:
    """The words of a recording, and where its chunks meet, in seconds."""

    words: Sequence[Word]
    joins: Sequence[float]


@dataclass
class Errors:
    """Words lost, made up and misheard: how many of each kind, near joins and elsewhere."""

    words: int = 0
    joins: int = 0
    at_joins: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.words + other.words,
            self.joins + other.joins,
            self.at_joins + other.at_joins,
            self.elsewhere + other.elsewhere,
        )

    @property
    def rate(self) -> float:
        """Word error rate in per cent."""
        return 100 * (self.at_joins.total() + self.elsewhere.total()) / self.words


@cache
def shipped_speech(name: str) -> Speech:
    """A shipped recording, decoded as the job does."""
    found = recording(name)
    return Speech(name, found.path, np.concatenate(list(decode(found.path))), found.words)


def without_pauses(speech: Speech) -> Speech:
    """The same words, each beginning where the one before ends."""
    pieces, words, clock = [], [], 0
    for word, following in pairwise((*speech.words, None)):
        assert word is not None
        begin = int(word.start * SAMPLE_RATE)
        end = int((min(word.end, following.start) if following else word.end) * SAMPLE_RATE)
        pieces.append(speech.samples[begin:end])
        words.append(TrueWord(word.word, seconds(clock), seconds(clock + end - begin)))
        clock += end - begin
    samples = np.concatenate(pieces)
    path = _folder() / f"{speech.name}-no-pauses.wav"
    soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
    return Speech(f"{speech.name}, no pauses", path, samples, tuple(words))


@cache
def _folder() -> Path:
    """For recordings that are made here, until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="joins-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def our_way(speech: Speech, cuts: CutRules) -> Outcome:
    """What the job does, but for its audit."""
    done = transcribed(speech.path, tiny_engine(), PipelineOptions(cuts=cuts, audit=None))
    stretches = [ChunkTokens(seconds(one.start), seconds(one.end), one.tokens) for one in done.results]
    return Outcome(done.transcript.words, joins(stretches))


def fixed_way(speech: Speech, join: Callable[[Sequence[ChunkTokens]], list[Word]]) -> Outcome:
    """Chunks of one length that overlap, and a way to join their words."""
    stretches = hear(tiny(), fixed_cuts(speech.samples))
    return Outcome(join(stretches), joins(stretches))


def fixed_cuts(samples: Samples) -> list[Chunk]:
    """Windows of one length that overlap, wherever they fall."""
    length, step = int(FIXED_SECONDS * SAMPLE_RATE), int((FIXED_SECONDS - FIXED_OVERLAP_SECONDS) * SAMPLE_RATE)
    overlap = length - step
    return [Chunk(start, samples[start : start + length]) for start in range(0, len(samples) - overlap, step)]


def hear(model: Parakeet, cut: Sequence[Chunk]) -> list[ChunkTokens]:
    """Every chunk's tokens, on the recording's clock."""
    by_length = sorted(range(len(cut)), key=lambda index: -len(cut[index].samples))
    recognized: dict[int, list[Token]] = {}
    while by_length:
        size = max(1, int(LONGEST_BATCH_SECONDS / seconds(len(cut[by_length[0]].samples))))
        batch, by_length = by_length[:size], by_length[size:]
        recognized |= dict(zip(batch, model.transcribe([cut[index].samples for index in batch]), strict=True))
    return [
        ChunkTokens(
            seconds(chunk.start),
            seconds(chunk.end),
            [token.later(seconds(chunk.start)) for token in recognized[index]],
        )
        for index, chunk in enumerate(cut)
    ]


def concatenated(stretches: Sequence[ChunkTokens]) -> list[Word]:
    """As the replaced design does."""
    return [word for each in stretches for word in words_of(each.tokens)]


def cut_in_the_middle(stretches: Sequence[ChunkTokens]) -> list[Word]:
    """Words that start before the middle of an overlap are the first chunk's, the others the second's."""
    middles = [(after.start + before.end) / 2 for before, after in pairwise(stretches)]
    bounds = pairwise([0.0, *middles, float("inf")])
    return [
        word
        for each, (begin, end) in zip(stretches, bounds, strict=True)
        for word in words_of(each.tokens)
        if begin <= word.start < end
    ]


def joins(stretches: Sequence[ChunkTokens]) -> list[float]:
    """Where chunks meet, in seconds; the middle of what they share or of what is left out."""
    return [(before.end + after.start) / 2 for before, after in pairwise(stretches)]


def errors(truth: Sequence[TrueWord], recognized: Sequence[Word], places: Sequence[float]) -> Errors:
    """Errors within NEAR_SECONDS of a place, and the others."""
    said, words = [plain(word.word) for word in truth], [plain(word.text) for word in recognized]
    found, i, j = Errors(len(said), len(places)), 0, 0
    for left, right in kaldialign.align(said, words, _GAP):
        if left != right:
            start = truth[i].start if left != _GAP else recognized[j].start
            near = any(abs(start - place) <= NEAR_SECONDS for place in places)
            kind = "insertions" if left == _GAP else "deletions" if right == _GAP else "substitutions"
            (found.at_joins if near else found.elsewhere)[kind] += 1
        i, j = i + (left != _GAP), j + (right != _GAP)
    return found


def plain(word: str) -> str:
    """A word as it is compared: without capitals and punctuation."""
    return re.sub(r"[^a-z0-9']", "", word.lower())


Way = Callable[[Speech], Outcome]
"""How to cut, and how to make one text of what was heard."""


def ways(cuts: CutRules) -> dict[str, Way]:
    """Our cuts, and those of the replaced design with the two simplest ways to join them."""
    return {
        "ours": partial(our_way, cuts=cuts),
        "fixed cuts, concatenated": partial(fixed_way, join=concatenated),
        "fixed cuts, split in the middle": partial(fixed_way, join=cut_in_the_middle),
    }


@cache
def material() -> dict[str, tuple[Speech, ...]]:
    """The long recordings, as they are and without their pauses."""
    shipped = (shipped_speech("long_seen"), shipped_speech("long_unseen"))
    return {"speech": shipped, "speech without pauses": tuple(map(without_pauses, shipped))}


@cache
def tiny() -> Parakeet:
    """The tiny model. Imported here, for NeMo takes seconds and other benchmarks do without."""
    from gpu_job.asr.nemo.parakeet import Parakeet, ParakeetLimits

    return Parakeet.load(str(MODEL_PATH), ParakeetLimits(32, LONGEST_BATCH_SECONDS, LONGEST_BATCH_SECONDS))


@cache
def single_pass(kind: str) -> list[list[Word]]:
    """Each recording heard at once, which nobody can cut wrongly."""
    return [words_of(tiny().transcribe([speech.samples])[0]) for speech in material()[kind]]


def compare(kind: str, way: Way) -> tuple[Errors, Errors]:
    """Errors of a way to cut, and those of the single pass, near the same joins and elsewhere."""
    ours, single = Errors(), Errors()
    for speech, whole in zip(material()[kind], single_pass(kind), strict=True):
        outcome = way(speech)
        ours += errors(speech.words, outcome.words, outcome.joins)
        single += errors(speech.words, whole, outcome.joins)
    return ours, single


def at_joins() -> Iterator[Measurement]:
    """Errors at joins: our cuts and the replaced design's, each beside the single pass."""
    cuts = CutRules(max_seconds=JobSettings.model_fields["chunk_seconds"].default)
    for kind in material():
        for name, way in ways(cuts).items():
            ours, single = compare(kind, way)
            found, allowed = ours.at_joins.total(), single.at_joins.total()
            yield Measurement(
                f"joins: {kind}, {name}: errors within {NEAR_SECONDS:g} s of {ours.joins} joins",
                found,
                f"({_listed(ours.at_joins)}; WER {ours.rate:.2f} %)",
                f"single pass: {allowed} ({_listed(single.at_joins)}; WER {single.rate:.2f} %)",
                "<= single pass" if name == "ours" else "-",
                found <= allowed if name == "ours" else None,
            )


def chunk_seconds() -> Iterator[Measurement]:
    """Word error rate and speed by CHUNK_SECONDS, decoding included."""
    for longest in CHUNK_SECONDS:
        way = partial(our_way, cuts=CutRules(max_seconds=longest))
        for kind, speeches in material().items():
            began = time.perf_counter()
            for speech in speeches:
                way(speech)
            speed = sum(seconds(len(speech.samples)) for speech in speeches) / (time.perf_counter() - began)
            ours, single = compare(kind, way)
            yield Measurement(
                f"CHUNK_SECONDS={longest}: {kind}, word error rate",
                ours.rate,
                f"% at {speed:.0f} x real time",
                f"single pass: {single.rate:.2f} %; errors at {ours.joins} joins: "
                f"{ours.at_joins.total()}, single pass there: {single.at_joins.total()}",
                "-",
                None,
            )


def _listed(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
