"""A shard's chunks: together those of the whole recording, and nothing is decoded far behind the last one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.cuts import CutRules
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.local import LocalEngine
from gpu_job.pipeline import FileTranscription, Pipeline, PipelineOptions
from gpu_job.transcription_listener import BlockingListener
from gpu_job.vad.detector import SpeechDetector
from infra.local_media import inspected
from infra.recordings import recording
from shared.costs.shard_plan import Shard
from shared.enums import Channels
from tests.support.sounds import make
from tests.support.waiting import PATIENCE

CALL = recording("call.opus")
PLAN = (Shard(0, 0, 5), Shard(1, 5, 9), Shard(2, 9, 14), Shard(3, 14, None))
Results = Mapping[tuple[int, int, int], ChunkResult]


@pytest.fixture
def pipeline(parakeet: Parakeet) -> Iterator[Pipeline]:
    chain = EngineChain()
    chain.add(LocalEngine(parakeet.engine, parakeet.name, lambda: parakeet, 1000.0, chain))
    chain.start()
    options = PipelineOptions(cuts=CutRules(max_seconds=6.0))
    with ThreadPoolExecutor(2) as threads:
        yield Pipeline(chain, options, SpeechDetector(), threads)
    chain.stop()


def fed(
    pipeline: Pipeline,
    path: Path,
    *,
    channels: Channels = Channels.MIX,
    shard: Shard | None = None,
    stored: Results | None = None,
) -> FileTranscription:
    """A file, or a shard of it, once all of its chunks have their results."""
    listener, name = BlockingListener(), f"{path.name}-{shard}"
    file = FileTranscription(
        pipeline, name, listener, media=inspected(path), channels=channels, shard=shard, stored=stored
    )
    file.feed(path)
    listener.wait(pipeline.engines, PATIENCE)
    return file


def placed(file: FileTranscription) -> Results:
    return {(one.channel, one.start, one.end): one for one in file.results()}


def two_channels(folder: Path) -> Path:
    """Two recordings, one on each channel."""
    both = "[0:a]aformat=channel_layouts=mono[l];[1:a]aformat=channel_layouts=mono[r];[l][r]join=inputs=2[out]"
    memo = recording("memo.wav").path
    inputs = ("-i", str(CALL.path), "-i", str(memo))
    return make(folder / "two.wav", *inputs, "-filter_complex", both, "-map", "[out]")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("channels", [Channels.MIX, Channels.SPLIT])
def test_shards_have_the_chunks_of_the_whole_and_the_same_words(
    pipeline: Pipeline, tmp_path: Path, channels: Channels
) -> None:
    path = CALL.path if channels is Channels.MIX else two_channels(tmp_path)
    whole = fed(pipeline, path, channels=channels)
    shards = [fed(pipeline, path, channels=channels, shard=shard) for shard in PLAN]
    places = [set(placed(one)) for one in shards]
    assert sum(map(len, places)) == len(set().union(*places)) == len(placed(whole)) >= len(PLAN)
    assert set().union(*places) == set(placed(whole))
    stored = {place: result for one in shards for place, result in placed(one).items()}
    assembled = fed(pipeline, path, channels=channels, stored=stored)
    assert placed(assembled) == stored
    source, job = path.as_uri(), "job"
    first, second = whole.assemble(source, job), assembled.assemble(source, job)
    assert [(word.text, word.speaker) for word in second.words] == [(word.text, word.speaker) for word in first.words]
    assert second.coverage.gaps == first.coverage.gaps == ()
    assert second.duration == first.duration


def test_a_shard_is_decoded_no_further_than_needed(pipeline: Pipeline) -> None:
    first = fed(pipeline, recording("long_seen.opus").path, shard=Shard(0, 0, 30))
    assert 30 <= first.decoded_seconds() < 60
    assert all(result.start < 30 * 16_000 for result in first.results())


def test_a_shard_behind_the_files_end_has_nothing_and_is_complete(pipeline: Pipeline) -> None:
    assert fed(pipeline, CALL.path, shard=Shard(9, 1000, None)).results() == []
