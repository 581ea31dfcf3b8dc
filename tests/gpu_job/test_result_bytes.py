"""The shipped recordings' known words through cuts, audit, assembly and rendering: byte for byte as they were.

For changes that only make these stages cheaper. One that changes what a result says changes the digests here, too, and
says so in the CHANGELOG.
"""

from __future__ import annotations

import hashlib

import pytest

from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import Assembly, chunk_result, transcript_of
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import seconds
from gpu_job.audit.audit import Audit
from gpu_job.audit.queries import VadQuery
from gpu_job.transcription.channel_audio import ChannelAudio
from infra.recordings import recording
from shared.enums import Engine
from shared.transcript.render import render


def tokens_of(name: str, chunk: Chunk) -> list[Token]:
    """The words that are heard in a chunk, on its clock; some in two pieces, some that the engine is not sure of, and
    some left out, so that the audit has questions."""
    found: list[Token] = []
    start, end = seconds(chunk.start), seconds(chunk.end)
    for number, word in enumerate(recording(name).words):
        if not start <= word.start < end or number % 17 in (5, 6, 7, 8):
            continue
        first, last = word.start - start, min(word.end, end) - start
        confidence = 0.45 if number % 23 == 0 else 0.9 + number % 10 / 101
        half = len(word.word) // 2
        if half and number % 3 == 0:
            middle = (first + last) / 2
            found.append(Token(f" {word.word[:half]}", first, middle, confidence))
            found.append(Token(word.word[half:], middle, last, confidence))
        else:
            found.append(Token(f" {word.word}", first, last, confidence))
    return found


def digest(name: str) -> str:
    """Of every result file."""
    channel, assembly, audit = ChannelAudio(CutRules(max_seconds=8.0, audible_db=-55.0)), Assembly(), Audit()
    chunks: list[Chunk] = []
    samples = 0
    for block in decode(recording(name).path):
        samples += len(block)
        chunks += channel.add(block)
    chunks += channel.end()
    queries: list[VadQuery] = []
    for chunk in chunks:
        result = chunk_result(chunk, Engine.PARAKEET_CPU, tokens_of(name, chunk))
        assembly.expect(chunk.start, chunk.end)
        assembly.add(result)
        queries += audit.cut(chunk)
        queries += audit.transcribed(chunk.start, result.tokens)
    queries += audit.end()
    for query in queries:
        # As a detector that hears speech everywhere would answer; what is to be transcribed again is not found.
        retry = audit.answer(query, [(0.0, seconds(len(query.window.samples)))])
        while retry is not None:
            retry = audit.retranscribed(retry, ())
    assert audit.is_done
    assembly.end(samples, [channel.audible.ranges])
    transcript = transcript_of(
        assembly, [audit.findings], lambda _: "known", job_id="0" * 24, source=f"gs://b/{name}#1", language="en"
    )
    spans = repr([(type(query).__name__, query.window.start, len(query.window.samples)) for query in queries])
    files = b"".join(file.data for file in render(transcript))
    return hashlib.sha256(spans.encode() + files).hexdigest()[:16]


@pytest.mark.parametrize(("name", "expected"), [("lecture.flac", "aabd02659c84752a"), ("memo.wav", "b7776818e80a1045")])
def test_results_are_byte_for_byte_what_they_were(name: str, expected: str) -> None:
    assert digest(name) == expected
