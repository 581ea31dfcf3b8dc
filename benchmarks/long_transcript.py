"""`python -m benchmarks.long_transcript HOURS`: MB that assembling and rendering so long a transcript takes.

Words at 150 a minute, without any audio; a process of its own, for peaks cannot be forgotten.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.resident import megabytes
from benchmarks.stages import assembled
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import SAMPLE_RATE
from shared.enums import Engine
from shared.media import Upload
from shared.transcript.render import render

WORD_SECONDS = 0.4
CHUNK_SECONDS = 30


def parts(hours: float) -> Iterator[ChunkResult]:
    """Chunks full of words, on the upload's clock."""
    for begin in range(0, int(hours * 3600), CHUNK_SECONDS):
        starts = [begin + index * WORD_SECONDS for index in range(int(CHUNK_SECONDS / WORD_SECONDS))]
        tokens = tuple(Token(" word", start, start + WORD_SECONDS, 1.0) for start in starts)
        end = (begin + CHUNK_SECONDS) * SAMPLE_RATE
        yield ChunkResult(begin * SAMPLE_RATE, end, Engine.PARAKEET_CPU, tokens)


if __name__ == "__main__":
    before = megabytes("VmHWM")
    upload = Upload(bucket="uploads", name="long.opus", generation=1)
    render(assembled(upload, list(parts(float(sys.argv[1]))), "null", "en"))
    print(megabytes("VmHWM") - before)
