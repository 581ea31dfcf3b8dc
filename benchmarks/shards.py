"""Shards: what one upload costs in one piece and in shards, and when each would be done by the configured speeds.

Measured, with an engine that answers at once: CPU seconds of decoding, cutting and assembling, of this process and its
decoders; the same where it was asked who speaks, and how much is stored of that. Computed of these and of the
configured speeds: how long 24 hours take one execution, and several. With the tiny model: words lost, made up or
misheard near joins and elsewhere, in shards and in one piece.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from benchmarks.joins import at_joins, errors, joins, shipped_speech
from benchmarks.null_job import TalkingEngine
from benchmarks.report import Measurement
from benchmarks.transcription import TIMEOUT_SECONDS, tiny_engine
from dropscribe.local_media import inspected
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.assembly.merge import ChunkTokens
from gpu_job.audio.samples import seconds
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.pipeline import FileTranscription
from gpu_job.transcription.listener import BlockingListener
from gpu_job.transcription.setup import FileRequest, Pipeline, PipelineOptions
from gpu_job.transcription.shards.found import FoundInShard
from gpu_job.transcription.shards.joined import StoredShards
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import recording
from shared.costs.quotes import ASSEMBLED_X_REAL_TIME
from shared.costs.shard_plan import Shard, ShardRules, plan_shards
from shared.options.model import NOTHING_ASKED, UploadOptions
from shared.options.speaker_count import SpeakerCount
from shared.transcript.model import Transcript

HOURS, SHARDS = 1.0, 2
DAY_SECONDS = 86_400.0
EXECUTIONS = 5
MAX_EXTRA_CPU = 1.6
"""Of decoding once in shards, with a warm-up of 10 min to one of 30."""
FIFTH_WITH_ASSEMBLING = 0.25
MAX_ASSEMBLING_SHARE = 0.2
"""Of hearing the speakers of all of it again."""

Stored = Mapping[tuple[int, int, int], ChunkResult]


@dataclass(frozen=True)
class Piece:
    """What a pass over a file, or over a shard of it, gave and cost."""

    results: Sequence[ChunkResult]
    transcript: Transcript | None
    """None of a shard."""
    cpu_seconds: float
    found: FoundInShard | None
    """None of a whole file."""


def shards() -> Iterator[Measurement]:
    """One upload of HOURS in one piece and in SHARDS; then ten minutes with the tiny model."""
    chain = EngineChain()
    recognizer = TalkingEngine()
    chain.add(LocalEngine(recognizer.engine, recognizer.name, lambda: recognizer, TIMEOUT_SECONDS, chain))
    chain.start()
    options = PipelineOptions(audit=None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "looped.flac"
            source = ["-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", f"{HOURS * 3600:g}"]
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, "-ar", "16000", str(path)]
            subprocess.run(command, check=True)
            plan = plan_shards(HOURS * 3600, 1, SHARDS, ShardRules(HOURS / SHARDS, HOURS / SHARDS))
            whole = passed(chain, path, options)
            parts = [passed(chain, path, options, shard=shard) for shard in plan]
            assembled = passed(chain, path, options, results=stored(parts), shards=left_by(parts))
            asked = UploadOptions(speakers=SpeakerCount())
            heard = [passed(chain, path, options, shard=shard, asked=asked) for shard in plan]
            told_apart = [
                passed(chain, path, options, results=stored(heard), shards=shards, asked=asked)
                for shards in (None, left_by(heard))
            ]
    finally:
        chain.stop()
    yield from rows(whole, parts, assembled)
    yield from rows_of_speakers(told_apart[0], heard, told_apart[1])
    yield from word_errors()


def passed(
    chain: EngineChain,
    path: Path,
    options: PipelineOptions,
    *,
    shard: Shard | None = None,
    results: Stored | None = None,
    shards: StoredShards | None = None,
    asked: UploadOptions = NOTHING_ASKED,
) -> Piece:
    """A file, or a shard of it, through the pipeline."""
    listener, before = BlockingListener(), cpu_seconds()
    with ThreadPoolExecutor(1) as threads:
        pipeline, name = Pipeline(chain, options, SpeechDetector(), threads), f"{path.name}-{shard}"
        file = FileTranscription(
            pipeline,
            name,
            listener,
            FileRequest(inspected(path), asked, stored=results or {}, shard=shard, shards=shards),
        )
        file.feed(path)
        listener.wait(chain, TIMEOUT_SECONDS, on_poll=file.fail_lost_chunks)
    transcript = file.assemble(path.name, path.name) if shard is None else None
    return Piece(file.results(), transcript, cpu_seconds() - before, file.shard_facts())


def stored(parts: Sequence[Piece]) -> Stored:
    """The results of all shards, as they are stored."""
    return {(one.channel, one.start, one.end): one for part in parts for one in part.results}


def left_by(parts: Sequence[Piece]) -> StoredShards:
    """What else they found."""
    found = {part.found.facts.shard.number: part.found.packed() for part in parts if part.found is not None}
    facts = {number: one.facts for number, one in found.items()}
    plan = tuple(facts[number].shard for number in sorted(facts))
    return StoredShards(plan, facts, lambda number: found[number].edges, speakers=lambda number: found[number].speakers)


def cpu_seconds() -> float:
    """Of this process, and of its decoders that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def rows(whole: Piece, parts: Sequence[Piece], assembled: Piece) -> Iterator[Measurement]:
    """What was measured, and what follows of it for a day on several executions."""
    once, later = whole.cpu_seconds, [part.cpu_seconds for part in parts]
    total = sum(later) + assembled.cpu_seconds
    length = f"{HOURS:g} h in {len(parts)} shards"
    yield Measurement(
        f"shards: CPU without model, {length}",
        total / once,
        "x one piece",
        f"one piece {once:.1f} CPU s; shards {', '.join(f'{each:.1f}' for each in later)};"
        f" assembling {assembled.cpu_seconds:.1f}",
        f"<= {MAX_EXTRA_CPU}",
        total / once <= MAX_EXTRA_CPU,
    )
    yield Measurement(
        "shards: dearest shard of its file's CPU", max(later) / once, "x one piece", f"of {len(parts)}", "-", None
    )
    assert whole.transcript is not None
    assert assembled.transcript is not None
    differing = differing_words(whole.transcript, assembled.transcript)
    reused = sum(one.audio is not None for one in assembled.results) / len(assembled.results)
    peer = f"of {len(whole.transcript.words)}; {100 * reused:.1f} % of the chunks were used as stored"
    yield Measurement("shards: words that differ from one piece", differing, "words", peer, "0", differing == 0)
    for device, speed in (("an L4", 123.0), ("a CPU job of 8 cores", 12.0)):
        one, several = makespan(speed, 1), makespan(speed, EXECUTIONS)
        yield Measurement(
            f"shards: 24 h on {EXECUTIONS} of {device}, computed",
            several / one,
            "x one execution",
            f"{several:.0f} s against {one:.0f} s at {speed:g} x real time, decoding at 4 x 500",
            f"<= {FIFTH_WITH_ASSEMBLING}",
            several / one <= FIFTH_WITH_ASSEMBLING,
        )


def rows_of_speakers(decoded: Piece, parts: Sequence[Piece], assembled: Piece) -> Iterator[Measurement]:
    """Who speaks, heard in shards. `decoded`: assembled by decoding and hearing all of it once more."""
    assert decoded.transcript is not None
    assert assembled.transcript is not None
    length, of_shards = f"{HOURS:g} h in {len(parts)} shards", ", ".join(f"{part.cpu_seconds:.1f}" for part in parts)
    yield Measurement(
        f"shards: CPU of assembling with speakers, {length}",
        assembled.cpu_seconds,
        "s",
        f"{decoded.cpu_seconds:.1f} where all is heard again; shards {of_shards}",
        f"<= {MAX_ASSEMBLING_SHARE:g} x that",
        assembled.cpu_seconds <= MAX_ASSEMBLING_SHARE * decoded.cpu_seconds,
    )
    stored_bytes = sum(len(one.found.speakers or b"") for one in parts if one.found is not None)
    yield Measurement(
        "shards: stored of who speaks", stored_bytes / HOURS / 1e6, "MB an hour", "of speech without pauses", "-", None
    )
    differing = differing_words(decoded.transcript, assembled.transcript)
    peer = f"of {len(decoded.transcript.words)}, whose speakers are {len(decoded.transcript.speakers)}"
    yield Measurement(
        "shards: words that differ where all is heard again", differing, "words", peer, "0", differing == 0
    )


def differing_words(one: Transcript, other: Transcript) -> int:
    """Words in another place, with other letters or of another speaker."""
    differing = sum(first != second for first, second in zip(one.words, other.words, strict=False))
    return differing + abs(len(one.words) - len(other.words))


def makespan(x_real_time: float, executions: int) -> float:
    """Seconds for a day, without starts: shards one after the other on each execution, then one puts the transcript
    together and renders it, as one execution does. By the settings' figures, and with a warm-up to each first shard,
    whose decoding nothing hides."""
    decode = 4 * 500.0
    plan = plan_shards(DAY_SECONDS, 1, executions, ShardRules(2.0, 0.0)) if executions > 1 else ()
    if not plan:
        return DAY_SECONDS / x_real_time + DAY_SECONDS / ASSEMBLED_X_REAL_TIME
    rounds = -(-len(plan) // executions)
    longest = max(shard.seconds_of(DAY_SECONDS) for shard in plan)
    warm_up = PipelineOptions().warm_up_seconds / decode
    return warm_up + rounds * longest / x_real_time + DAY_SECONDS / ASSEMBLED_X_REAL_TIME


def all_joins() -> Iterator[Measurement]:
    """Errors where chunks meet, and at the seams of shards."""
    yield from at_joins()
    yield from word_errors()


def word_errors() -> Iterator[Measurement]:
    """Ten minutes with truth and the tiny model: near joins and elsewhere, in shards and in one piece."""
    speech, engine = shipped_speech("long_seen.opus"), tiny_engine()
    options = PipelineOptions(audit=None, warm_up_seconds=120)
    plan = plan_shards(600.0, 1, SHARDS, ShardRules(600 / 3600 / SHARDS, 0.0))
    whole = passed(engine, speech.path, options)
    parts = [passed(engine, speech.path, options, shard=shard) for shard in plan]
    for name, piece in (
        ("one piece", whole),
        ("shards", passed(engine, speech.path, options, results=stored(parts), shards=left_by(parts))),
    ):
        assert piece.transcript is not None
        places = joins([ChunkTokens(seconds(one.start), seconds(one.end), one.tokens) for one in piece.results])
        found = errors(speech.words, piece.transcript.words, places)
        peer = f"{found.at_joins.total()} at {found.joins} joins, {found.elsewhere.total()} elsewhere"
        yield Measurement(f"shards: word errors, {name}", found.rate, "%", peer, "-", None)
