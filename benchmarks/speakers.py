"""Who speaks when, on made conversations of two to six people, and what it takes."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations, product
from statistics import mean

import numpy as np

from benchmarks.conversations import MANNERS, Conversation, conversation
from benchmarks.report import Measurement
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from gpu_job.speakers.clusters import speakers_of
from gpu_job.speakers.diarizer import Diarizer
from gpu_job.speakers.networks import EMBEDDING_SIZE, FRAMES, SpeakerNetworks, unit
from gpu_job.speakers.turns import Turn, turns_of
from gpu_job.speakers.windows import STEP, Piece, SpeakerWindow
from gpu_job.speakers.words import speakers_of_words
from gpu_job.transcription.setup import AUDIT_THREADS
from shared.options.speaker_count import SpeakerCount
from shared.transcript.model import Word

SEEDS = {2: range(1, 11), 3: range(1, 6), 4: range(1, 6), 6: range(1, 4)}
"""By number of people. A seed draws its people once for all manners, so a few seeds of two are a few pairs of voices.
Thresholds were chosen on others, from 11 on."""
PEOPLE = tuple(SEEDS)
FRAME = 0.01
TEN_HOURS = 36_000
_DRAWS = 2000
_TARGET = 0.05
"""Of words, for two to four people."""

Diarize = Callable[[Conversation], list[Turn]]


@dataclass(frozen=True)
class Score:
    """How right the speakers of one conversation are; shares."""

    people: int
    manner: str
    seed: int
    wrong: float
    """Of the words that an engine writes."""
    wrong_of_all: float
    """Of all words, with those said while a louder one speaks, whose speaker nobody can know by times alone."""
    diarization: float
    """Missed, invented and confused speech."""
    found: int
    """How many speakers."""


def scores(diarize: Diarize) -> Iterator[Score]:
    """Of every number of people, manner and seed."""
    for people, seeds in SEEDS.items():
        for manner, seed in product(MANNERS, seeds):
            made = conversation(100 * people + seed, people, manner)
            yield score(made, diarize(made), people, manner.name, seed)


def score(made: Conversation, turns: Sequence[Turn], people: int, manner: str, seed: int) -> Score:
    """What the turns get right."""
    return Score(
        people,
        manner,
        seed,
        _wrong_words(made.words, turns),
        _wrong_words(made.all_words, turns),
        _diarization_error(made, turns),
        1 + max((turn.speaker for turn in turns), default=-1),
    )


def speakers() -> Iterator[Measurement]:
    """Word-level speaker error and diarization error by number of people, seconds of a core, memory of ten hours."""
    networks = SpeakerNetworks()
    spent, heard = 0.0, 0.0
    with ThreadPoolExecutor(AUDIT_THREADS) as threads:

        def diarize(made: Conversation) -> list[Turn]:
            nonlocal spent, heard
            began = time.process_time()
            turns = _turns(networks, threads, made)
            spent, heard = spent + time.process_time() - began, heard + seconds(len(made.samples))
            return turns

        yield from measurements("speakers", list(scores(diarize)))
    yield Measurement("speakers: an hour of audio", spent / heard * 3600, "CPU s", "", "", None)
    yield Measurement("speakers: memory of 10 hours' clusters", _megabytes(), "MB", "", "at most 100", None)
    if (peer := senko()) is not None:
        yield from measurements("senko", list(scores(peer)))


def measurements(what: str, found: Sequence[Score]) -> Iterator[Measurement]:
    """Means by number of people and by manner."""
    for people in PEOPLE:
        these = [one for one in found if one.people == people]
        right = sum(one.found == people for one in these)
        low, high = interval(these)
        wrong, worst = mean(one.wrong for one in these), max(one.wrong for one in these)
        yield Measurement(
            f"{what}: words of {people} people with a wrong speaker",
            100 * wrong,
            "%",
            f"95 % interval {100 * low:.1f} to {100 * high:.1f} %; worst {100 * worst:.1f} %;"
            f" {right} of {len(these)} with the right number of people;"
            f" of all words {100 * mean(one.wrong_of_all for one in these):.1f} %",
            f"at most {_TARGET:.0%}" if people <= 4 and what == "speakers" else "",
            wrong <= _TARGET if people <= 4 and what == "speakers" else None,
        )
        error = 100 * mean(one.diarization for one in these)
        yield Measurement(f"{what}: diarization error of {people} people", error, "%", "no collar", "", None)
    for manner in MANNERS:
        wrong = mean(one.wrong for one in found if one.manner == manner.name and one.people <= 4)
        yield Measurement(f"{what}: wrong speaker, {manner.name}", 100 * wrong, "%", "2 to 4 people", "", None)


def interval(found: Sequence[Score]) -> tuple[float, float]:
    """Between which means of wrong words 95 % of draws lie, with replacement, of the seeds: conversations of one seed
    have the same people, and are no draws of their own."""
    seeds = sorted({one.seed for one in found})
    means = np.array([mean(one.wrong for one in found if one.seed == seed) for seed in seeds])
    drawn = np.random.default_rng(1).choice(means, (_DRAWS, len(means))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return low, high


def senko() -> Diarize | None:
    """The package `senko`, which takes torch, as a peer; None where it is not installed."""
    if importlib.util.find_spec("senko") is None:
        return None
    peer = importlib.import_module("senko").Diarizer(device="cpu", warmup=False)

    def diarize(made: Conversation) -> list[Turn]:
        answer = peer.diarize_samples(made.samples)
        segments = answer["merged_segments"] if answer else []
        numbers = {name: number for number, name in enumerate(dict.fromkeys(one["speaker"] for one in segments))}
        return [Turn(one["start"], one["end"], numbers[one["speaker"]]) for one in segments]

    return diarize


def _turns(networks: SpeakerNetworks, threads: ThreadPoolExecutor, made: Conversation) -> list[Turn]:
    done = threading.Event()
    diarizer = Diarizer(networks, threads, SpeakerCount(), done.set)
    for at in range(0, len(made.samples), SAMPLE_RATE):
        diarizer.add(made.samples[at : at + SAMPLE_RATE])
    diarizer.end()
    while not diarizer.is_done:
        done.wait(0.05)
    return diarizer.turns() or []


def _wrong_words(words: Sequence[Word], turns: Sequence[Turn]) -> float:
    """Share of words whose speaker is another, or nobody, with the best naming of the speakers."""
    found = speakers_of_words(words, turns, "en")
    pairs = Counter((word.speaker, speaker) for word, speaker in zip(words, found, strict=True) if speaker is not None)
    true, heard = sorted({word.speaker for word in words}, key=str), sorted({pair[1] for pair in pairs})
    return 1 - _best(true, heard, lambda one, other: pairs[one, other]) / len(words)


def _diarization_error(made: Conversation, turns: Sequence[Turn]) -> float:
    """Missed, invented and confused speech, per speech: NIST's DER without a collar, overlaps counted."""
    frames = int(seconds(len(made.samples)) / FRAME) + 1
    true, found = _active(made.turns, frames), _active(turns, frames)
    shared = true.T.astype(int) @ found.astype(int)
    right = _best(range(true.shape[1]), range(found.shape[1]), lambda one, other: int(shared[one, other]))
    most = np.maximum(true.sum(axis=1), found.sum(axis=1)).sum()
    return float((most - right) / true.sum())


def _best(true: Sequence[int | None], found: Sequence[int], shared: Callable[[int | None, int], int]) -> int:
    """The most that agrees when each true one is named as one of the found."""
    if len(found) < len(true):
        found = [*found, *[-1] * (len(true) - len(found))]
    return max(
        sum(0 if other == -1 else shared(one, other) for one, other in zip(true, chosen, strict=True))
        for chosen in permutations(found, len(true))
    )


def _active(turns: Sequence[Turn], frames: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    active = np.zeros((frames, 1 + max((turn.speaker for turn in turns), default=-1)), bool)
    for turn in turns:
        active[int(turn.start / FRAME) : int(turn.end / FRAME), turn.speaker] = True
    return active


def _megabytes() -> float:
    """The most that windows of ten hours, their clusters and turns take."""
    draw = np.random.default_rng(1)
    people = [unit(draw.standard_normal(EMBEDDING_SIZE).astype(np.float32)) for _ in range(4)]
    tracemalloc.start()
    windows = []
    for number, start in enumerate(range(0, TEN_HOURS * SAMPLE_RATE, STEP)):
        pieces = []
        for part, one in enumerate((number % 4, (number + 1) % 4, (number + 1) % 4)):
            noise = unit(draw.standard_normal(EMBEDDING_SIZE).astype(np.float32))
            voice = unit(people[one] * np.float32(0.85) + noise * np.float32(0.5))
            pieces.append(Piece(150 + 100 * part, 250 + 100 * part, voice))
        sets = np.repeat(np.array([1, 2], np.uint8), [FRAMES // 2, FRAMES - FRAMES // 2])
        windows.append(SpeakerWindow(start, sets, tuple(pieces)))
    turns_of(windows, speakers_of(windows, SpeakerCount()), TEN_HOURS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6
