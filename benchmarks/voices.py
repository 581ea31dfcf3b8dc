"""`python -m benchmarks voices`: how often people are known again by a kept voice, and how often somebody else is.

The 14 recorded people of `conversations.py` talk in made conversations, which go through the whole stage. Every voice
that it finds is compared with everybody's voice of another conversation: kept in one manner, on a phone for example,
heard in another. People say the same sentences.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from benchmarks.conversations import MANNERS, VOICES, Conversation, conversation
from benchmarks.report import Measurement
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.speakers.diarizer import BuiltInModel
from gpu_job.speakers.turns import Turn
from gpu_job.speakers.voices import SAME_VOICE_COSINE, known_voices
from gpu_job.transcription.setup import AUDIT_THREADS
from shared.clock import now
from shared.options.speaker_count import SpeakerCount
from shared.voices.model import KeptVoice, Voice, VoiceSample

PEOPLE = (3, 4)
SEEDS = (71, 72)
GALLERIES = 10
"""Draws of the kept samples."""
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.77, SAME_VOICE_COSINE, 0.85)


class Found(NamedTuple):
    """A voice that the stage found in a conversation."""

    place: int
    """Of the conversation."""
    manner: str
    person: str
    """Who spoke for most of its turns."""
    voice: Voice
    people: frozenset[str]
    """Of the conversation: somebody whom the stage took for another one is in their voice, too."""


def voices() -> Iterator[Measurement]:
    """Cosines of one person's voices and of two persons', and what naming by kept voices gets right and wrong."""
    found = found_voices()
    same, other = cosines(found)
    yield _measurement(
        "voices: one person's in two conversations", np.percentile(same, [50, 10, 5, 1]).tolist(), len(same)
    )
    yield _measurement("voices: two persons'", np.percentile(other, [50, 90, 99, 99.9]).tolist(), len(other))
    for threshold in THRESHOLDS:
        rejected = 100 * float(np.mean(same < threshold))
        accepted = 100 * float(np.mean(other >= threshold))
        note = f"two persons' above it: {accepted:.2f} %"
        yield Measurement(f"voices: one person's below {threshold}", rejected, "%", note, "", None)
    for is_kept in (True, False):
        right, wrong, count = named(found, is_kept=is_kept)
        what = "kept" if is_kept else "not kept, 10 others are"
        note = f"{count} speakers; named rightly: {100 * right:.1f} %"
        name = f"voices: named wrongly, who are {what}"
        yield Measurement(name, 100 * wrong, "%", note, "at most 1 %", wrong <= 0.01)


def _measurement(what: str, percentiles: Sequence[float], count: int) -> Measurement:
    shown = ", ".join(f"{one:.2f}" for one in percentiles[1:])
    return Measurement(f"{what}, median", float(percentiles[0]), "cosine", f"tail: {shown}; {count} pairs", "", None)


def found_voices() -> list[Found]:
    """Of conversations of three and four people in every manner."""
    model, found = BuiltInModel(), []
    with ThreadPoolExecutor(AUDIT_THREADS) as threads:
        place = 0
        for people in PEOPLE:
            for manner in MANNERS:
                for seed in SEEDS:
                    number = seed * 1000 + 10 * people + MANNERS.index(manner)
                    made = conversation(number, people, manner, turns=24)
                    names = random.Random(number).sample(VOICES, people)
                    people_of = frozenset(names)
                    turns, heard = _heard(model, threads, made)
                    for speaker, voice in heard.items():
                        found.append(
                            Found(place, manner.name, names[_person(made.turns, turns, speaker)], voice, people_of)
                        )
                    place += 1
    return found


def _heard(
    model: BuiltInModel, threads: ThreadPoolExecutor, made: Conversation
) -> tuple[Sequence[Turn], dict[int, Voice]]:
    done = threading.Event()
    stage = model.begin(threads, SpeakerCount(), done.set)
    for at in range(0, len(made.samples), SAMPLE_RATE):
        stage.add(made.samples[at : at + SAMPLE_RATE])
    stage.end()
    while not stage.is_done:
        done.wait(0.05)
    turns = stage.turns() or []
    return turns, stage.voices(turns)


def _person(true: Sequence[Turn], found: Sequence[Turn], speaker: int) -> int:
    shared: defaultdict[int, float] = defaultdict(float)
    for one in found:
        for other in true if one.speaker == speaker else ():
            shared[other.speaker] += max(0.0, min(one.end, other.end) - max(one.start, other.start))
    return max(shared, key=lambda person: shared[person])


def cosines(found: Sequence[Found]) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """Of all pairs of two conversations: of one person, and of two."""
    vectors = np.array([one.voice.embedding for one in found])
    alike = vectors @ vectors.T
    same: list[float] = []
    other: list[float] = []
    for at, one in enumerate(found):
        for behind in range(at + 1, len(found)):
            if found[behind].place != one.place:
                (same if found[behind].person == one.person else other).append(alike[at, behind])
    return np.array(same), np.array(other)


def named(found: Sequence[Found], *, is_kept: bool) -> tuple[float, float, int]:
    """Shares of the speakers that are named rightly and wrongly, with one sample of each person kept, of another
    conversation; `is_kept`: the conversation's people, too, or others alone. How many speakers were looked at."""
    draw, right, wrong, count = random.Random(1), 0, 0, 0
    by_place: defaultdict[int, list[Found]] = defaultdict(list)
    for one in found:
        by_place[one.place].append(one)
    for place, speakers in by_place.items():
        people = speakers[0].people
        for _ in range(GALLERIES):
            kept = []
            for person in VOICES:
                samples = [one for one in found if one.person == person and one.place != place]
                if samples and (is_kept or person not in people):
                    chosen = draw.choice(samples)
                    sample = VoiceSample(**dict(chosen.voice), job_id="made", speaker=0, added_at=now())
                    kept.append(KeptVoice(name=person, samples=(sample,)))
            names = known_voices({at: one.voice for at, one in enumerate(speakers)}, kept)
            count += len(speakers)
            right += sum(names[at].name == one.person for at, one in enumerate(speakers) if at in names)
            wrong += sum(names[at].name != one.person for at, one in enumerate(speakers) if at in names)
    return right / count, wrong / count, count


if __name__ == "__main__":
    for one in voices():
        print(one)
