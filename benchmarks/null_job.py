"""`python -m gpu_job` with an engine that answers at once without hearing: all of the job but the model."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence

from gpu_job.__main__ import main
from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.recognizer import Recognizer
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.audit.evidence import LETTER_SECONDS
from gpu_job.worker.services import JobServices
from shared.enums import Engine


class NullEngine:
    """Says one word as long as the chunk, in time and in letters, so that the audit finds no omission."""

    name = hardware = "null"
    engine = Engine.PARAKEET_CPU
    batch_limits = BatchLimits(max_chunks=16, max_samples=640 * SAMPLE_RATE)

    def prepare(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        """Nothing to prepare."""
        return batch

    def run(self, prepared: Sequence[Samples]) -> Sequence[Samples]:
        """Nothing to run."""
        return prepared

    def finish(self, output: Sequence[Samples]) -> list[list[Token]]:
        """The word of each chunk."""
        lengths = [seconds(len(samples)) for samples in output]
        return [[Token(" " + "m" * math.ceil(length / LETTER_SECONDS), 0.0, length, 1.0)] for length in lengths]


def _load_model(self: JobServices, engine: Engine) -> Recognizer:
    return NullEngine()


if __name__ == "__main__":
    JobServices.load_model = _load_model  # type: ignore[method-assign]  # the one thing that is not real
    status = main()
    sys.stderr.flush()
    os._exit(status)
