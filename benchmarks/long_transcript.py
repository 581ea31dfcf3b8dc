"""`python -m benchmarks.long_transcript HOURS`: MB that assembling and rendering so long a transcript takes.

Two figures: of the worker's process, and of the one that renders. As the worker that assembles a divided upload has it:
results are read from what shards stored, the transcript is made of them, and its files are taken as they are stored.
Words at 150 a minute, 1.4 tokens a word, ten words a sentence, without any audio; a process of its own, for peaks
cannot be forgotten.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator

from pydantic import TypeAdapter

from benchmarks.resident import megabytes
from benchmarks.stages import assembled
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import SAMPLE_RATE
from gpu_job.rendering.process import RenderingProcess
from shared.enums import Engine
from shared.media import Upload
from shared.options.subtitle_rules import SubtitleRules
from shared.piece_stream import CHUNK_BYTES, PieceStream
from shared.transcript.render import InPieces

WORD_SECONDS = 0.4
CHUNK_SECONDS = 30
SHARD_HOURS = 2.0
"""As long are the stretches whose results are read at once."""
IN_TWO_PIECES, OF_WORDS = 2, 5
"""So many of so many words are two tokens."""
SENTENCE_WORDS = 10

_RESULTS = TypeAdapter(list[ChunkResult])


def parts(begin_seconds: int, end_seconds: int) -> Iterator[ChunkResult]:
    """Chunks full of words, on the upload's clock."""
    for begin in range(begin_seconds, end_seconds, CHUNK_SECONDS):
        starts = [begin + index * WORD_SECONDS for index in range(int(CHUNK_SECONDS / WORD_SECONDS))]
        tokens = tuple(token for number, start in enumerate(starts) for token in _word(number, start))
        end = (begin + CHUNK_SECONDS) * SAMPLE_RATE
        yield ChunkResult(begin * SAMPLE_RATE, end, Engine.PARAKEET_CPU, tokens)


def _word(number: int, start: float) -> Iterator[Token]:
    middle, end, confidence = start + WORD_SECONDS / 2, start + 0.9 * WORD_SECONDS, 0.5 + number / 160
    stop = "." if number % SENTENCE_WORDS == SENTENCE_WORDS - 1 else ""
    if number % OF_WORDS < IN_TWO_PIECES:
        yield Token(" wo", start, middle, confidence)
        yield Token(f"rd{stop}", middle, end, confidence)
    else:
        yield Token(f" word{stop}", start, end, confidence)


def stored(hours: float) -> Iterator[ChunkResult]:
    """The same, as they are read from what shards stored."""
    step = int(SHARD_HOURS * 3600)
    for begin in range(0, int(hours * 3600), step):
        until = min(begin + step, int(hours * 3600))
        yield from _RESULTS.validate_json(_RESULTS.dump_json(list(parts(begin, until))))


def main() -> None:
    """Assemble and render; print both figures."""
    before, rendering = megabytes("VmHWM"), RenderingProcess()
    upload = Upload(bucket="uploads", name="long.opus", generation=1)
    transcript = assembled(upload, list(stored(float(sys.argv[1]))), "null", "en")
    files = iter(rendering.render(transcript, SubtitleRules.of("en")))
    first = next(files).joined()  # which is compared with what is stored
    del first
    for file in files:
        if isinstance(file, InPieces):
            stream = PieceStream(file.pieces)
            while stream.read(CHUNK_BYTES):
                pass
        del file
    rendering.close()
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(megabytes("VmHWM") - before, children)


if __name__ == "__main__":
    main()
