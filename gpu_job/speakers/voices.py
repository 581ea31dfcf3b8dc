"""What each speaker sounds like over a whole recording, and which of a deployment's kept voices that is. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import seconds
from gpu_job.speakers.networks import FIRST_FRAME_SECONDS, FRAME_SECONDS, unit
from gpu_job.speakers.turns import Turn
from gpu_job.speakers.windows import Piece, SpeakerWindow
from shared.transcript.speakers import KnownVoice
from shared.voices.model import KeptVoice, Voice

VOICE_MODEL = "campplus-zh-en-common-8bit/1"
"""3D-Speaker's CAM++ as `embedding.onnx` has it. Another file is another version: voices of two are not compared."""

LEAST_VOICE_SECONDS = 8.0
"""Speech, alone, that a speaker is known by at least, to be named or kept."""

SAME_VOICE_COSINE = 0.8
"""A speaker with at least this cosine with a kept voice may be that person (docs/benchmarks.md, kept voices)."""

CLEARLY_NEARER = 0.05
"""By so much the kept voice has to be nearer than any other kept one: of two that sound alike nobody knows which."""

_CLEAR_SECONDS = 1.0
"""A shorter piece says little of a voice."""

_EMBEDDING_DIGITS = 5


def voices_of_turns(windows: Sequence[SpeakerWindow], turns: Sequence[Turn]) -> dict[int, Voice]:
    """Windows and turns in time order -> the voice of each speaker who speaks alone for long enough.

    Of pieces that lie in one speaker's turn, where nobody else has one.
    """
    sums: defaultdict[int, NDArray[np.float32]] = defaultdict(lambda: np.zeros(0, np.float32))
    heard: defaultdict[int, float] = defaultdict(float)
    starts = [turn.start for turn in turns]
    longest = max((turn.end - turn.start for turn in turns), default=0.0)
    for window in windows:
        for piece in window.pieces:
            if piece.seconds < _CLEAR_SECONDS or piece.is_doubtful:
                continue
            start, end = _times(window, piece)
            first = bisect_right(starts, start - longest)
            near = turns[first : bisect_right(starts, end)]
            inside = [turn for turn in near if turn.end > start and turn.start < end]
            covered = sum(min(end, turn.end) - max(start, turn.start) for turn in inside)
            if len({turn.speaker for turn in inside}) != 1 or covered < piece.seconds / 2:
                continue
            speaker = inside[0].speaker
            weighted = piece.embedding * np.float32(piece.seconds)
            sums[speaker] = weighted if heard[speaker] == 0.0 else sums[speaker] + weighted
            heard[speaker] += piece.seconds
    return {
        speaker: Voice(
            model=VOICE_MODEL,
            seconds=round(heard[speaker], 3),
            embedding=tuple(round(float(value), _EMBEDDING_DIGITS) for value in unit(sums[speaker])),
        )
        for speaker in sorted(sums)
        if heard[speaker] >= LEAST_VOICE_SECONDS
    }


def known_voices(
    voices: Mapping[int, Voice], kept: Sequence[KeptVoice], taken: Collection[str] = ()
) -> dict[int, KnownVoice]:
    """Speakers by number -> the kept voice that each of them is; without those who may be anybody.

    No two speakers are the same one. `taken`: names that speakers have already.
    """
    people = [(voice.name, mean) for voice in kept if (mean := _mean(voice)) is not None]
    scores: list[tuple[float, int, str]] = []
    for number, voice in voices.items():
        if voice.model != VOICE_MODEL:
            continue
        embedding = np.array(voice.embedding, np.float32)
        each = sorted(
            ((float(mean @ embedding), name) for name, mean in people if len(mean) == len(embedding)), reverse=True
        )
        if not each or each[0][0] < SAME_VOICE_COSINE:
            continue
        if len(each) > 1 and each[0][0] - each[1][0] < CLEARLY_NEARER:
            continue
        scores.append((each[0][0], number, each[0][1]))
    found: dict[int, KnownVoice] = {}
    used = set(taken)
    for score, number, name in sorted(scores, key=lambda one: (-one[0], one[1])):
        if name not in used:
            found[number] = KnownVoice(name, round(min(score, 1.0), 3))
            used.add(name)
    return found


def _mean(voice: KeptVoice) -> NDArray[np.float32] | None:
    """Of its samples, each by its seconds of speech; None where they are all of another network."""
    samples = [sample for sample in voice.samples if sample.model == VOICE_MODEL]
    sizes = {len(sample.embedding) for sample in samples}
    if len(sizes) != 1:
        return None
    weighted = [np.array(sample.embedding, np.float32) * np.float32(max(sample.seconds, 1.0)) for sample in samples]
    return unit(np.sum(weighted, axis=0, dtype=np.float32))


def _times(window: SpeakerWindow, piece: Piece) -> tuple[float, float]:
    start = seconds(window.start) + FIRST_FRAME_SECONDS + (piece.first - 0.5) * FRAME_SECONDS
    return start, start + piece.seconds
