"""Stretches of a chunk's result of whose words its engine was not sure. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpu_job.asr.tokens import ensure_word_start, words_of
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.second_opinion import DOUBTFUL
from gpu_job.audio.samples import SAMPLE_RATE, seconds
from shared.transcript.model import Word

_JOIN_SECONDS = 2.0
"""Doubtful words this close are one stretch."""

_CONTEXT_WORDS = 2
"""Sure words on each side that are heard again, too: engines need context, and they show whether it listens."""

_EDGE_SECONDS = 0.3
"""Most audio before the first and behind the last word of a stretch."""


class DoubtfulStretch(NamedTuple):
    """A stretch of one channel to be heard again. In samples of the upload."""

    confidence: float
    """Mean of its doubtful words: the least is the worst."""
    channel: int
    first: int
    end: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return seconds(self.end - self.first)


def doubts_of(result: ChunkResult) -> list[DoubtfulStretch]:
    """The stretches of a chunk's result of whose words its engine was not sure."""
    words = words_of(ensure_word_start(result.tokens))
    doubtful = [at for at, word in enumerate(words) if word.confidence is not None and word.confidence < DOUBTFUL]
    runs: list[list[int]] = []
    for at in doubtful:
        if runs and words[at].start - words[runs[-1][-1]].end <= _JOIN_SECONDS:
            runs[-1].append(at)
        else:
            runs.append([at])
    doubts: list[DoubtfulStretch] = []
    for run in runs:
        first, last = max(0, run[0] - _CONTEXT_WORDS), min(len(words) - 1, run[-1] + _CONTEXT_WORDS)
        begin = max(result.start, _before(words, first))
        end = min(result.end, _behind(words, last))
        if doubts and begin < doubts[-1].end:
            begin = doubts[-1].end
        known = [words[at].confidence or 0.0 for at in run]
        if end > begin:
            doubts.append(DoubtfulStretch(sum(known) / len(known), result.channel, begin, end))
    return doubts


def _before(words: Sequence[Word], first: int) -> int:
    """The sample at which the audio of a word begins: half way to the word before it, and not too far."""
    start = words[first].start
    edge = (words[first - 1].end + start) / 2 if first else 0.0
    return int(max(0.0, min(start, max(edge, start - _EDGE_SECONDS))) * SAMPLE_RATE)


def _behind(words: Sequence[Word], last: int) -> int:
    end = words[last].end
    edge = (end + words[last + 1].start) / 2 if last + 1 < len(words) else end + _EDGE_SECONDS
    return int(max(end, min(edge, end + _EDGE_SECONDS)) * SAMPLE_RATE)
