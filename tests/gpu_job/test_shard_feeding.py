"""A shard's chunks: together those of the whole recording, and nothing is decoded far behind the last one."""

from __future__ import annotations

import logging
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from dropscribe.local_media import inspected
from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.tokens import Token
from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.cuts import CutRules
from gpu_job.audio.decode_options import DecodeOptions
from gpu_job.audio.pace import DecodePace
from gpu_job.audio.parallel import MIN_WINDOW_SECONDS, ParallelDecoding
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.audit.audit import NO_WORDS_REASON
from gpu_job.audit.findings import Findings
from gpu_job.audit.queries import AuditRules
from gpu_job.engines.local import LocalEngine
from gpu_job.fetch.arrival import PART_BYTES
from gpu_job.fetch.arriving_file import ArrivingFile
from gpu_job.pipeline import FileTranscription
from gpu_job.speakers.diarizer import BuiltInModel
from gpu_job.transcription.chunk_results import ChunkResults
from gpu_job.transcription.listener import BlockingListener
from gpu_job.transcription.opinions.second_opinions import NoStore, OpinionLimits
from gpu_job.transcription.setup import FileRequest, Pipeline, PipelineOptions
from gpu_job.transcription.shards.facts import digest_of
from gpu_job.transcription.shards.fed_shard import FedShard
from gpu_job.transcription.shards.joined import StoredShards
from gpu_job.vad.detector import SpeechDetector
from infra.recordings import recording
from shared.costs.shard_plan import Shard
from shared.enums import Channels, Engine
from shared.errors import BadMedia
from shared.options.model import UploadOptions
from shared.options.speaker_count import SpeakerCount
from tests.support.arriving import GatedContent
from tests.support.engine_chain import chain_of
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.made_conversation import Conversation
from tests.support.sounds import make
from tests.support.waiting import PATIENCE

CALL = recording("call.opus")
PLAN = (Shard(0, 0, 5), Shard(1, 5, 9), Shard(2, 9, 14), Shard(3, 14, None))
Results = Mapping[tuple[int, int, int], ChunkResult]


@pytest.fixture(autouse=True)
def all_that_is_decoded_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while an engine is slow, as on a busy machine: tests tell by it what was decoded."""
    monkeypatch.setattr(DecodePace, "BLOCKED_SECONDS", math.inf)


@pytest.fixture
def pipeline(tiny_model: OnnxTdt) -> Iterator[Pipeline]:
    chain = chain_of(tiny_model)
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
    shards: StoredShards | None = None,
    speakers: SpeakerCount | None = None,
    opinions: OpinionLimits | None = None,
) -> FileTranscription:
    """A file, or a shard of it, once all of its chunks have their results."""
    return fed_and_decoded(pipeline, path, shard, channels, stored, shards, speakers, opinions)[0]


def fed_and_decoded(
    pipeline: Pipeline,
    path: Path,
    shard: Shard | None = None,
    channels: Channels = Channels.MIX,
    stored: Results | None = None,
    shards: StoredShards | None = None,
    speakers: SpeakerCount | None = None,
    opinions: OpinionLimits | None = None,
) -> tuple[FileTranscription, float]:
    """The same, and how many seconds of audio were decoded for it."""
    listener, name = BlockingListener(), f"{path.name}-{shard}"
    file = FileTranscription(
        pipeline,
        name,
        listener,
        FileRequest(
            inspected(path),
            UploadOptions(channels=channels, speakers=speakers, min_coverage=None if opinions is None else 0.99),
            stored=stored or {},
            shard=shard,
            shards=shards,
            opinions=opinions,
        ),
    )
    decoded_seconds = file.feed(path)
    listener.wait(pipeline.engines, PATIENCE)
    return file, decoded_seconds


def placed(file: FileTranscription) -> Results:
    return {(one.channel, one.start, one.end): one for one in file.results()}


def left_by(shards: Sequence[FileTranscription]) -> tuple[Results, StoredShards]:
    """What is stored of shards: results, and what else they found."""
    results = {place: result for one in shards for place, result in placed(one).items()}
    found = {one.facts.shard.number: one.packed() for shard in shards if (one := shard.shard_facts()) is not None}
    facts = {number: one.facts for number, one in found.items()}
    plan = tuple(facts[number].shard for number in sorted(facts))
    return results, StoredShards(
        plan,
        facts,
        lambda number: found[number].edges,
        speakers=lambda number: found[number].speakers,
        opinions=lambda number: found[number].opinions,
    )


def in_order(found: Findings) -> tuple[object, ...]:
    """Findings come in any order."""
    sums = [pytest.approx(one) for one in (found.queried_seconds, found.retranscribed_seconds)]
    lists = (found.splices, found.dropped, found.gaps, found.queried)
    return *(sorted(map(repr, each)) for each in lists), sums, found.audited


def assert_same(one: FileTranscription, other: FileTranscription) -> None:
    first, second = one.assemble("", "job"), other.assemble("", "job")
    # A sum, in another order.
    assert first.coverage.repaired_seconds == pytest.approx(second.coverage.repaired_seconds)
    coverage = first.coverage.model_copy(update={"repaired_seconds": second.coverage.repaired_seconds})
    assert first.model_copy(update={"coverage": coverage}) == second


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
    count = SpeakerCount()
    whole = fed(pipeline, path, channels=channels, speakers=count)
    shards = [fed(pipeline, path, channels=channels, shard=shard, speakers=count) for shard in PLAN]
    places = [set(placed(one)) for one in shards]
    assert sum(map(len, places)) == len(set().union(*places)) == len(placed(whole)) >= len(PLAN)
    assert set().union(*places) == set(placed(whole))
    stored = {place: result for one in shards for place, result in placed(one).items()}
    assembled = fed(pipeline, path, channels=channels, stored=stored, speakers=count)
    joined = fed(pipeline, path, channels=channels, stored=stored, shards=left_by(shards)[1], speakers=count)
    assert joined.decode_pace.audio_seconds == 0
    assert placed(assembled) == placed(joined) == stored
    assert_same(joined, assembled)
    source, job = path.as_uri(), "job"
    assert len({word.speaker for word in joined.assemble(source, job).words}) == 2
    first, second = whole.assemble(source, job), assembled.assemble(source, job)
    assert [(word.text, word.speaker) for word in second.words] == [(word.text, word.speaker) for word in first.words]
    assert second.coverage.gaps == first.coverage.gaps == ()
    assert second.duration == first.duration


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 s, of which a decoder begins anywhere."""
    speech = ("-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", "200")
    return make(tmp_path_factory.mktemp("lecture") / "lecture.wav", *speech, "-ar", "48000", "-ac", "6")


class Hearing(FakeRecognizer):
    """Hears how long and how loud a chunk is, so that they differ."""

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        return [[Token(f" {len(samples)}:{np.abs(samples).sum():g}", 0.0, 1.0)] for samples in batch]


@pytest.fixture(scope="module")
def hearing() -> Iterator[Pipeline]:
    recognizer = Hearing()
    recognizer.gate.set()
    chain = chain_of(recognizer)
    options = PipelineOptions(
        cuts=CutRules(max_seconds=6.0), decoding=DecodeOptions(parallel=ParallelDecoding(children=1)), audit=None
    )
    with ThreadPoolExecutor(2) as threads:
        model = BuiltInModel(Conversation())
        yield Pipeline(chain, replace(options, warm_up_seconds=60), SpeechDetector(), threads, model)
    chain.stop()


@pytest.fixture(scope="module")
def auditing(hearing: Pipeline) -> Pipeline:
    """The same with an audit, which has a lot to hear again, and no limit."""
    return replace(hearing, options=replace(hearing.options, audit=AuditRules(spare_seconds=1000.0)))


LATE_PLAN = (Shard(0, 0, 70), Shard(1, 70, 140), Shard(2, 140, None))


def test_each_shard_costs_its_own_range_and_together_they_have_the_whole_recordings_chunks(
    hearing: Pipeline, lecture: Path
) -> None:
    whole = fed(hearing, lecture)
    shards = [fed_and_decoded(hearing, lecture, shard) for shard in LATE_PLAN]
    found = {place: result for one, _ in shards for place, result in placed(one).items()}
    assert {place: replace(one, audio=None) for place, one in found.items()} == placed(whole)
    assert all(result.audio is not None for result in found.values())
    # The warm-up, the range, and what the chunk that reaches over its end needs; none was begun anew.
    assert [decoded_seconds for _, decoded_seconds in shards] == pytest.approx([70, 130, 120], abs=25)
    assembled = fed(hearing, lecture, stored=found)
    assert all(map(assembled.is_stored, assembled.results()))


@pytest.fixture(scope="module")
def short_lecture(lecture: Path) -> Path:
    """100 s of it."""
    return make(lecture.parent / "short.wav", "-i", str(lecture), "-t", "100")


SHORT_PLAN = (Shard(0, 0, 31), Shard(1, 31, 69), Shard(2, 69, None))


@dataclass(frozen=True)
class Divided:
    """A recording as a whole, and what its shards left of it."""

    whole: FileTranscription
    results: Results
    shards: StoredShards


@pytest.fixture(scope="module")
def divided(auditing: Pipeline, short_lecture: Path) -> Divided:
    pipeline = replace(auditing, options=replace(auditing.options, warm_up_seconds=20))
    shards = [fed(pipeline, short_lecture, shard=shard) for shard in SHORT_PLAN]
    return Divided(fed(pipeline, short_lecture), *left_by(shards))


def test_what_shards_found_is_joined_without_decoding_and_is_the_whole_recordings(
    auditing: Pipeline, short_lecture: Path, divided: Divided, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (of_whole,) = map(in_order, divided.whole.findings())
    without_one = replace(divided.shards, facts={0: divided.shards.facts[0], 2: divided.shards.facts[2]})
    without_a_result = {place: one for place, one in divided.results.items() if place != min(divided.results)}
    uncounted = replace(
        divided.shards, facts={**divided.shards.facts, 1: replace(divided.shards.facts[1], packets=None)}
    )
    # As stored; where an older version left nothing of a shard, or no count; and where a chunk's result is lost.
    for results, shards, decoded, counts in (
        (divided.results, divided.shards, [], 0),
        (divided.results, without_one, [SHORT_PLAN[1]], 0),
        (divided.results, uncounted, [], 1),
        (without_a_result, divided.shards, [SHORT_PLAN[0]], 0),
    ):
        caplog.clear()
        joined = fed(auditing, short_lecture, stored=results, shards=shards)
        assert joined.decode_pace.audio_seconds == 0
        assert [vars(one)["fields"]["shard"] for one in caplog.records if "range" in one.message] == [
            one.number for one in decoded
        ]
        assert sum("counting" in one.message for one in caplog.records) == counts
        assert [in_order(one) for one in joined.findings()] == [of_whole]
        assert not joined.is_unjoinable
        assert_same(joined, divided.whole)
    assert {gap.reason for gap in joined.findings()[0].gaps} == {NO_WORDS_REASON}


def read_in_parts(shards: StoredShards, data: bytes, changed: Mapping[int, int] | None = None) -> StoredShards:
    """The same, of a file that was fetched part by part. `changed`: CRC32C that the second shard has instead."""
    parts = {number: google_crc32c.value(data[at : at + PART_BYTES]) for number, at in numbered_parts(data)}
    read = {0: {0: parts[0]}, 1: {**parts, **(changed or {})}, 2: {part: parts[part] for part in list(parts)[1:]}}
    facts = {number: replace(one, checksums=tuple(read[number].items())) for number, one in shards.facts.items()}
    return replace(shards, facts=facts)


def numbered_parts(data: bytes) -> Iterator[tuple[int, int]]:
    return ((at // PART_BYTES, at) for at in range(0, len(data), PART_BYTES))


def test_a_file_whose_shards_found_everything_is_not_read_again(
    auditing: Pipeline, short_lecture: Path, divided: Divided
) -> None:
    data = short_lecture.read_bytes()
    shards = read_in_parts(divided.shards, data)
    uncounted = replace(shards, facts={**shards.facts, 1: replace(shards.facts[1], packets=None)})
    without_one = replace(shards, facts={0: shards.facts[0], 2: shards.facts[2]})
    of_whole = {number: google_crc32c.value(data[at : at + PART_BYTES]) for number, at in numbered_parts(data)}
    for left, is_right, is_fed in (
        (shards, True, True),
        (shards, False, False),
        (divided.shards, True, False),
        (uncounted, True, False),
        (without_one, True, False),
    ):
        asked: list[Mapping[int, int]] = []
        listener = BlockingListener()
        request = FileRequest(inspected(short_lecture), stored=divided.results, shards=left)
        file = FileTranscription(auditing, "job", listener, request)
        assert file.feed_stored(lambda parts, asked=asked, answer=is_right: asked.append(parts) or answer) == is_fed  # type: ignore[misc]
        assert asked == ([of_whole] if left is shards else [])
        if not is_fed:
            file.feed(short_lecture)
        listener.wait(auditing.engines, PATIENCE)
        assert file.decode_pace.audio_seconds == 0
        assert_same(file, divided.whole)


def test_a_shard_that_read_other_bytes_than_the_uploads_says_nothing(
    auditing: Pipeline, short_lecture: Path, divided: Divided, tmp_path: Path
) -> None:
    data = short_lecture.read_bytes()
    # Where two shards read different bytes; and where they agree, and whoever assembles reads others.
    alone = next(reversed([number for number, _ in numbered_parts(data)]))
    contradicting = read_in_parts(divided.shards, data, {0: 1})
    first = {number: replace(one, checksums=((alone, 1),)) for number, one in divided.shards.facts.items()}
    for left, asks in ((contradicting, 0), (replace(divided.shards, facts=first), 1)):
        asked: list[Mapping[int, int]] = []
        listener = BlockingListener()
        request = FileRequest(inspected(short_lecture), stored=divided.results, shards=left)
        file = FileTranscription(auditing, "job", listener, request)
        assert not file.feed_stored(lambda parts, asked=asked: asked.append(parts) is not None)  # type: ignore[misc]
        assert len(asked) == asks
        content = GatedContent(data)
        with ArrivingFile(
            tmp_path / "upload", len(data), data[:PART_BYTES], content.read, lambda crc: None
        ) as arriving:
            file.feed(arriving.path, arriving)
            listener.wait(auditing.engines, PATIENCE)
        assert file.decode_pace.audio_seconds == pytest.approx(100, abs=1)
        assert_same(file, divided.whole)


@pytest.fixture(scope="module")
def speaking(auditing: Pipeline, short_lecture: Path) -> Divided:
    """The same, where it was asked who speaks."""
    pipeline, count = replace(auditing, options=replace(auditing.options, warm_up_seconds=20)), SpeakerCount()
    shards = [fed(pipeline, short_lecture, shard=shard, speakers=count) for shard in SHORT_PLAN]
    return Divided(fed(pipeline, short_lecture, speakers=count), *left_by(shards))


def test_speakers_are_heard_in_shards_and_told_apart_as_in_one_piece(
    auditing: Pipeline, short_lecture: Path, speaking: Divided, divided: Divided, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole = speaking.whole.assemble("", "job")
    assert len({word.speaker for word in whole.words}) > 1
    # As stored; and where one shard is of a version that heard nothing.
    facts = speaking.shards.facts
    for changed, decoded in (({}, []), ({1: divided.shards.facts[1]}, [1])):
        caplog.clear()
        shards = replace(speaking.shards, facts={**facts, **changed})
        joined = fed(auditing, short_lecture, stored=speaking.results, shards=shards, speakers=SpeakerCount())
        assert joined.decode_pace.audio_seconds == 0
        assert [vars(one)["fields"]["shard"] for one in caplog.records if "range" in one.message] == decoded
        assert joined.speakers.busy_seconds is None
        assert_same(joined, speaking.whole)


def test_where_speakers_of_a_shard_are_not_there_or_are_others_the_whole_is_heard(
    auditing: Pipeline, short_lecture: Path, speaking: Divided, divided: Divided
) -> None:
    left, facts = speaking.shards, speaking.shards.facts
    start = facts[1].start
    assert start is not None
    turned = replace(start, polarities=tuple(-1 if one == 1 else 1 for one in start.polarities))
    heard = left.speakers(1) or b""
    for shards in (
        divided.shards,
        replace(left, speakers=lambda number: None),
        replace(left, speakers=lambda number: left.speakers(0)),
        replace(left, facts={**facts, 1: replace(facts[1], start=turned)}),
        replace(
            left,
            facts={**facts, 1: replace(facts[1], speakers=digest_of(heard[1:]))},
            speakers=lambda number: heard[1:] if number == 1 else left.speakers(number),
        ),
    ):
        count = SpeakerCount()
        decoded, decoded_seconds = fed_and_decoded(
            auditing, short_lecture, stored=speaking.results, shards=shards, speakers=count
        )
        assert decoded_seconds == pytest.approx(100, abs=1)
        assert_same(decoded, speaking.whole)


class Doubting(FakeRecognizer):
    """Hears a word each two seconds, more or less sure by its samples; of a third of all audio nothing."""

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        return [self._heard(samples) if zlib.crc32(samples.tobytes()) % 3 else [] for samples in batch]

    def _heard(self, samples: Samples) -> list[Token]:
        parts = np.split(samples, range(2 * SAMPLE_RATE, len(samples), 2 * SAMPLE_RATE))
        sure = [0.5 + zlib.crc32(part.tobytes()) % 50 / 100 for part in parts]
        return [Token(f" {one:g}", 2.0 * at, 2.0 * at + 1, one) for at, one in enumerate(sure)]


class SecondHearing(FakeRecognizer):
    """The engine that is asked for an opinion; it remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(engine=Engine.DEEPGRAM)
        self.gate.set()
        self.sent: list[Samples] = []

    def finish(self, batch: Sequence[Samples]) -> list[list[Token]]:
        self.sent += batch
        return [[Token(" second", 0.5, 1.0, 0.99)] for _ in batch]


LIMITS = OpinionLimits(25.0, 15.0, NoStore())


def test_what_another_engine_hears_is_kept_in_shards_and_is_the_same_as_of_one_piece(
    auditing: Pipeline, short_lecture: Path, divided: Divided, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = Doubting(), SecondHearing()
    first.gate.set()
    chain = chain_of(first, starts=False)
    chain.add(LocalEngine(second.engine, second.name, lambda: second, 1000.0, chain))
    chain.start()
    try:
        pipeline = replace(auditing, engines=chain, options=replace(auditing.options, warm_up_seconds=20))
        whole = fed(pipeline, short_lecture, opinions=LIMITS)
        shards = [fed(pipeline, short_lecture, shard=shard, opinions=LIMITS) for shard in SHORT_PLAN]
        silent = [fed(pipeline, short_lecture, shard=shard) for shard in SHORT_PLAN]
        results, left = left_by(shards)
        facts = {**left.facts, 1: left_by(silent)[1].facts[1]}
        (sent,) = second.sent
        assert 20 < len(sent) / SAMPLE_RATE < 40
        opinions = whole.assemble("", "job").second_opinions
        assert {one.first is None for one in opinions} <= {False}
        assert len(opinions) > 3
        # As stored; where a shard is of a version that kept nothing; where all are, or other limits were theirs.
        for stored, limits, decoded in (
            (left, LIMITS, []),
            (replace(left, facts=facts), LIMITS, [1]),
            (left_by(silent)[1], LIMITS, None),
            (replace(left, opinions=lambda number: None), LIMITS, None),
        ):
            second.sent.clear()
            caplog.clear()
            joined = fed(pipeline, short_lecture, stored=results, shards=stored, opinions=limits)
            again = [vars(one)["fields"]["shard"] for one in caplog.records if "range" in one.message]
            assert again == (decoded or [])
            assert (joined.decode_pace.audio_seconds > 0) == (decoded is None)
            assert [np.array_equal(one, sent) for one in second.sent] == [True]
            assert_same(joined, whole)
        second.sent.clear()
        less = OpinionLimits(12.0, 15.0, NoStore())
        joined = fed(pipeline, short_lecture, stored=results, shards=left, opinions=less)
        assert joined.decode_pace.audio_seconds > 0
        assert_same(joined, fed(pipeline, short_lecture, opinions=less))
        assert np.array_equal(*second.sent)
    finally:
        chain.stop()


def test_a_recording_whose_shards_do_not_fit_is_decoded_as_a_whole(
    auditing: Pipeline, short_lecture: Path, divided: Divided, tmp_path: Path
) -> None:
    facts = divided.shards.facts
    other_mix = replace(facts[1], start=replace(facts[1].start, mix="another"))  # type: ignore[type-var]
    unheard = replace(facts[1], heard=facts[1].heard[:0])
    uncounted = replace(unheard, packets=None)
    short = replace(facts[2], frames=90 * SAMPLE_RATE)
    for changed in ({1: other_mix}, {1: unheard}, {1: uncounted}, {2: short}):
        shards = replace(divided.shards, facts={**facts, **changed})
        decoded, decoded_seconds = fed_and_decoded(auditing, short_lecture, stored=divided.results, shards=shards)
        assert decoded_seconds == pytest.approx(100, abs=1)
        assert_same(decoded, divided.whole)
        assert all(map(decoded.is_stored, decoded.results()))


@dataclass
class Counting(BlockingListener):
    """Counts how often each chunk was transcribed."""

    heard: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def chunk_transcribed(self, result: ChunkResult) -> None:
        self.heard[result.start, result.end] += 1


def counted(
    pipeline: Pipeline, path: Path, stored: Results, shards: StoredShards
) -> tuple[FileTranscription, Counter[tuple[int, int]], float]:
    """A file that is put together, what engines heard for it, and how many seconds of it were decoded."""
    listener = Counting()
    request = FileRequest(inspected(path), stored=stored, shards=shards)
    file = FileTranscription(pipeline, "job", listener, request)
    decoded_seconds = file.feed(path)
    listener.wait(pipeline.engines, PATIENCE)
    return file, listener.heard, decoded_seconds


def test_what_an_engine_said_of_a_shard_that_was_found_again_counts_where_the_whole_is_decoded(
    auditing: Pipeline, short_lecture: Path, divided: Divided
) -> None:
    facts, own = divided.shards.facts, set(divided.shards.facts[1].places)
    stored = {place: one for place, one in divided.results.items() if place not in own}
    # Nothing is left of the second shard, and the third one is of a shorter file.
    shards = replace(divided.shards, facts={0: facts[0], 2: replace(facts[2], frames=90 * SAMPLE_RATE)})
    file, heard, decoded_seconds = counted(auditing, short_lecture, stored, shards)
    assert decoded_seconds == pytest.approx(100, abs=1)
    assert heard == Counter({(start, end): 1 for _, start, end in own})
    assert_same(file, divided.whole)
    assert {place for place, one in placed(file).items() if not file.is_stored(one)} == own


def test_a_kept_result_of_other_samples_is_heard_again(
    auditing: Pipeline, short_lecture: Path, divided: Divided, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, own = divided.shards.facts, set(divided.shards.facts[1].places)
    stored = {place: one for place, one in divided.results.items() if place not in own}
    shards = replace(divided.shards, facts={0: facts[0], 2: replace(facts[2], frames=90 * SAMPLE_RATE)})
    keep, other = ChunkResults.keep, min(own)

    def of_other_samples(self: ChunkResults, results: Sequence[ChunkResult]) -> None:
        keep(self, [replace(one, audio="other") if one.start == other[1] else one for one in results])

    monkeypatch.setattr(ChunkResults, "keep", of_other_samples)
    file, heard, _ = counted(auditing, short_lecture, stored, shards)
    assert heard == Counter({(start, end): 1 for _, start, end in own}) + Counter([other[1:]])
    assert_same(file, divided.whole)


def test_where_a_shard_says_nothing_the_whole_is_decoded_at_once(
    auditing: Pipeline, short_lecture: Path, divided: Divided, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shards = replace(
        divided.shards, facts={0: divided.shards.facts[0]}, unjoinable=frozenset({SHORT_PLAN[2], Shard(1, 30, 60)})
    )
    file, heard, decoded_seconds = counted(auditing, short_lecture, divided.results, shards)
    assert [one.message for one in caplog.records if "once more" in one.message] == [
        "decoding a divided upload once more"
    ]
    assert decoded_seconds == pytest.approx(100, abs=1)
    assert not heard
    assert_same(file, divided.whole)


def test_a_shard_from_which_something_was_lost_says_nothing_of_the_file(
    hearing: Pipeline, short_lecture: Path, tmp_path: Path
) -> None:
    data = short_lecture.read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(data[: len(data) * 3 // 4])
    listener = BlockingListener()
    file = FileTranscription(hearing, "cut", listener, FileRequest(inspected(short_lecture), shard=SHORT_PLAN[2]))
    file.feed(cut)
    listener.wait(hearing.engines, PATIENCE)
    assert file.results()
    assert file.shard_facts() is None
    assert file.is_unjoinable


def test_a_result_of_other_samples_is_not_used(hearing: Pipeline, lecture: Path) -> None:
    whole = placed(fed(hearing, lecture))
    places = sorted(whole)
    stored = {place: replace(whole[place], tokens=(), audio="other") for place in places[:2]}
    assembled = fed(hearing, lecture, stored=stored)
    assert placed(assembled) == whole
    assert not any(map(assembled.is_stored, assembled.results()))


def test_where_a_part_may_be_wrong_the_shard_is_decoded_from_the_files_start(hearing: Pipeline, tmp_path: Path) -> None:
    speech = ("-stream_loop", "-1", "-i", str(recording("long_seen.opus").path), "-t", "200")
    path = make(tmp_path / "adpcm.wav", *speech, "-c:a", "adpcm_ima_wav")
    whole, shards = fed(hearing, path), [fed(hearing, path, shard=shard) for shard in LATE_PLAN]
    found = {place: result for one in shards for place, result in placed(one).items()}
    assert {place: replace(one, audio=None) for place, one in found.items()} == placed(whole)
    # Of the later ones, nothing was submitted before decoders were compared.
    assert not any(result.audio for one in shards[1:] for result in one.results())
    assert shards[2].decoded_seconds() == pytest.approx(200, abs=1)


@pytest.mark.parametrize(("name", "options"), [("short.mka", ("-c:a", "libopus")), ("noise.m4a", ("-b:a", "32k"))])
def test_shards_that_are_decoded_from_the_files_start_are_joined_too(
    hearing: Pipeline,
    short_lecture: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    options: tuple[str, ...],
) -> None:
    """Matroska rounds times; and AAC leaves noise to the decoder, which the first shard notices behind its first
    chunks. Who decodes the file to its end counts the packets of all of it."""
    path = make(tmp_path / name, "-i", str(short_lecture), "-ac", "1", *options)
    audited = replace(hearing, options=replace(hearing.options, audit=AuditRules(spare_seconds=1000.0)))
    caplog.set_level(logging.INFO)
    whole, shards = fed(audited, path), [fed(audited, path, shard=shard) for shard in SHORT_PLAN]
    inexact = [one.message for one in caplog.records if "from the file's start" in one.message]
    assert len(inexact) == (0 if name.endswith("mka") else len(SHORT_PLAN))
    results, left = left_by(shards)
    assert [one.packets is None for one in left.facts.values()] == [True, True, False]
    caplog.clear()
    joined, decoded_seconds = fed_and_decoded(audited, path, stored=results, shards=left)
    assert decoded_seconds == 0
    assert not any("counting" in one.message for one in caplog.records)
    assert [in_order(one) for one in joined.findings()] == [in_order(one) for one in whole.findings()]
    assert_same(joined, whole)


def test_what_comes_again_behind_the_first_decoder_may_be_other_samples(hearing: Pipeline, lecture: Path) -> None:
    shard, options = FileRequest(inspected(lecture), shard=LATE_PLAN[0]), hearing.options
    for position, is_clean in ((MIN_WINDOW_SECONDS, True), (MIN_WINDOW_SECONDS + 1, False)):
        one = FedShard(shard, options, 1)
        one.takes(0, Chunk(0, np.zeros(16_000, np.float32)), is_certain=True)
        assert one.begin_anew(position * SAMPLE_RATE) == is_clean == one.is_noted
        other = FedShard(replace(shard, shard=LATE_PLAN[1]), options, 1)
        assert other.begin_anew(position * SAMPLE_RATE)
        other.takes(0, Chunk(75 * SAMPLE_RATE, np.zeros(16_000, np.float32)), is_certain=True)
        assert not other.begin_anew(position * SAMPLE_RATE)


def test_only_a_shards_part_of_the_file_is_fetched(hearing: Pipeline, lecture: Path, tmp_path: Path) -> None:
    content = GatedContent(lecture.read_bytes())
    size, parts = len(content.data), math.ceil(len(content.data) / PART_BYTES)
    assert parts >= 12
    shard, listener = LATE_PLAN[1], BlockingListener()
    file = FileTranscription(hearing, "job", listener, FileRequest(inspected(lecture), shard=shard))

    def check(crc: int) -> None:
        raise AssertionError("it was fetched to its end")

    args = (tmp_path / "upload", size, content.data[:PART_BYTES], content.read, check)
    with ArrivingFile(*args, on_demand=True) as arriving:
        assert file.is_fed_in_part
        file.feed(arriving.path, arriving)
        listener.wait(hearing.engines, PATIENCE)
    assert shard.end is not None
    assert shard.end <= file.decoded_seconds() < shard.end + 30
    assert placed(file) == placed(fed(hearing, lecture, shard=shard))
    assert len(content.requested) == len(set(content.requested)) < 0.9 * parts
    assert parts - 1 not in content.requested
    assert (found := file.shard_facts()) is not None
    fetched = {part: content.data[part * PART_BYTES : (part + 1) * PART_BYTES] for part in {0, *content.requested}}
    assert found.facts.checksums == tuple((part, google_crc32c.value(fetched[part])) for part in sorted(fetched))


def test_a_part_that_cannot_be_fetched_is_no_end_of_the_file(hearing: Pipeline, lecture: Path, tmp_path: Path) -> None:
    data = lecture.read_bytes()

    def read(start: int, end: int) -> bytes:
        if start > len(data) / 2:
            raise ConnectionResetError("gone")
        return data[start:end]

    file = FileTranscription(hearing, "job", BlockingListener(), FileRequest(inspected(lecture), shard=LATE_PLAN[1]))
    args = (tmp_path / "upload", len(data), data[:PART_BYTES], read, lambda crc: None)
    with ArrivingFile(*args, on_demand=True) as arriving:
        with pytest.raises((ConnectionResetError, BadMedia)):
            file.feed(arriving.path, arriving)
        with pytest.raises(ConnectionResetError, match="gone"):
            arriving.wait(PATIENCE)


def test_a_shard_is_decoded_no_further_than_needed(pipeline: Pipeline) -> None:
    first = fed(pipeline, recording("long_seen.opus").path, shard=Shard(0, 0, 30))
    assert 30 <= first.decoded_seconds() < 60
    assert all(result.start < 30 * 16_000 for result in first.results())


def test_a_shard_behind_the_files_end_has_nothing_and_is_complete(pipeline: Pipeline) -> None:
    assert fed(pipeline, CALL.path, shard=Shard(9, 1000, None)).results() == []
