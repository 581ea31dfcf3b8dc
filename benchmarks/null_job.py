"""`python -m benchmarks.null_job [--words] [--x-real-time=X] [--gil-clock=FOLDER]`: the job; no engine takes time.

It hears nothing. With --x-real-time it waits as long as an engine of that speed takes.

One word a chunk, so that the audit finds no omission; with --words three a second, so that all of a transcript's work
is done: tokens, audit, assembly, rendering.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.gil_clock import GilClock
from gpu_job.__main__ import main
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.recognizer import Recognizer
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.audit.evidence import LETTER_SECONDS
from gpu_job.worker.services import JobServices
from shared.enums import Engine

WORD_SAMPLES = 5120
"""Of a word: 0.32 s, or 3.1 words a second, as fast as people talk."""
WORD_SECONDS = seconds(WORD_SAMPLES)
LOOKED_AT, QUIET = 16, 0.003
"""Every so manieth sample is looked at; below -50 dB of full scale nobody says a word."""
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "dog.", "Then", "it", "sleeps,", "until", "morning.")
FLAG = "--words"
SPEED_FLAG = "--x-real-time="
GIL_FLAG = "--gil-clock="
"""And the folder of a GilClock."""


class NullEngine:
    """Says one word as long as the chunk, in time and in letters."""

    name = hardware = "null"
    engine = Engine.PARAKEET_CPU
    batch_limits = BatchLimits(max_chunks=16, max_samples=640 * SAMPLE_RATE)
    x_real_time = math.inf

    def prepare(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        """Nothing to prepare."""
        return batch

    def run(self, prepared: Sequence[Samples]) -> Sequence[Samples]:
        """Nothing to run; it waits as long as an engine of its speed would take."""
        time.sleep(seconds(sum(map(len, prepared))) / self.x_real_time)
        return prepared

    def finish(self, output: Sequence[Samples]) -> list[list[Token]]:
        """The words of each chunk."""
        return [self.tokens(samples) for samples in output]

    def tokens(self, samples: Samples) -> list[Token]:
        """Of a chunk."""
        length = seconds(len(samples))
        return [Token(" " + "m" * math.ceil(length / LETTER_SECONDS), 0.0, length, 1.0)]


class TalkingEngine(NullEngine):
    """Says WORDS over and over where a chunk sounds, in batches as a GPU has them."""

    batch_limits = BatchLimits(max_chunks=128, max_samples=2400 * SAMPLE_RATE)

    def tokens(self, samples: Samples) -> list[Token]:
        """Of a chunk: words one after the other, none where it is quiet."""
        looked_at = np.abs(samples[: len(samples) // WORD_SAMPLES * WORD_SAMPLES : LOOKED_AT])
        loud = looked_at.reshape(-1, WORD_SAMPLES // LOOKED_AT).max(axis=1, initial=0.0) > QUIET
        return [
            Token(" " + WORDS[place % len(WORDS)], place * WORD_SECONDS, (place + 0.9) * WORD_SECONDS, 0.97)
            for place in np.flatnonzero(loud).tolist()
        ]


def _load_model(self: JobServices, engine: Engine) -> Recognizer:
    recognizer = TalkingEngine() if FLAG in sys.argv[1:] else NullEngine()
    for argument in sys.argv[1:]:
        if argument.startswith(SPEED_FLAG):
            recognizer.x_real_time = float(argument.removeprefix(SPEED_FLAG))
            recognizer.batch_limits = BatchLimits(max_chunks=16, max_samples=120 * SAMPLE_RATE)
    return recognizer


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if argument.startswith(GIL_FLAG):
            GilClock(Path(argument.removeprefix(GIL_FLAG))).watch()
    JobServices.load_model = _load_model  # type: ignore[method-assign]  # the one thing that is not real
    status = main()
    sys.stderr.flush()
    os._exit(status)
