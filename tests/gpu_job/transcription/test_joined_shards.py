"""What shards found, joined, is what one pass over the whole recording finds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gpu_job.asr.tokens import Token
from gpu_job.audio.audible import AudibleAudio
from gpu_job.audio.chunker import Chunk
from gpu_job.audio.decoder.records import CountedPart, PacketMark, PacketTimes
from gpu_job.audio.loudness import LevelMeter, SecondLoudness, loudest
from gpu_job.audio.packet_check import HeardSound
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.audit.findings import Findings, merged_findings
from gpu_job.audit.intervals import Span
from gpu_job.audit.queries import AuditRules, VadQuery
from gpu_job.transcription.shards.edge_audio import EdgeChunk, packed_audio, unpacked_audio
from gpu_job.transcription.shards.facts import Border, ChunkMark, ShardFacts, digest_of
from gpu_job.transcription.shards.joined import NotJoinable, StoredShards, joined, seam_chunks
from gpu_job.transcription.shards.recorder import ShardRecorder
from gpu_job.transcription.shards.stored_beside import heard_speakers
from shared.costs.shard_plan import Shard
from tests.support.finished_audit import finished_audit
from tests.support.sounds import noise

WORD, STEP, LENGTH = 0.3, 0.5, 30
RULES = AuditRules(spare_seconds=1000.0)
"""Each shard has a limit of its own: none is reached here."""
TOKENS = [Token(f" {n}", n * STEP, n * STEP + WORD, 0.9) for n in range(int(LENGTH / STEP))]


def sound() -> Samples:
    samples = noise(LENGTH, -75.0)
    for token in TOKENS:
        begin, end = round(token.start * SAMPLE_RATE), round(token.end * SAMPLE_RATE)
        samples[begin:end] += noise(WORD + 1, -20.0, seed=1)[: end - begin]
    return samples


SOUND = sound()
_PLACES = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.0, 1.0, 3.5]), st.sampled_from([2.0, 3.0, 4.0, 6.0])),
    min_size=1,
    max_size=10,
)
_SPANS = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.sampled_from([1, 2, 3, 5])), max_size=4)


def chunks_of(places: Sequence[tuple[float, float]]) -> list[Chunk]:
    """Behind one another by pauses and overlaps, and as long as this."""
    chunks: list[Chunk] = []
    at = 0.0
    for pause, length in places:
        start = max(0.0, at + pause)
        begin, end = round(start * SAMPLE_RATE), round(min(LENGTH, start + length) * SAMPLE_RATE)
        if end - begin >= SAMPLE_RATE:
            chunks.append(Chunk(begin, SOUND[begin:end]))
        at = start + length
    return chunks


class Heard:
    """A detector that knows the truth, and an engine that loses some of it."""

    def __init__(self, lost: Sequence[tuple[int, int]], unspoken: Sequence[tuple[int, int]]) -> None:
        """In seconds, start and length: no words at first, and for ever; and words where nobody speaks."""
        self._lost = [Span(start, start + length) for start, length in lost]
        self._unspoken = [Span(start, start + length) for start, length in unspoken]

    def first(self, window: Chunk) -> list[Token]:
        return _outside(self._lost, _within(window))

    def again(self, window: Chunk) -> list[Token]:
        return _outside(self._lost[:1], _within(window))

    def speech(self, window: Chunk, _: VadQuery) -> list[tuple[float, float]]:
        start = seconds(window.start)
        return [(token.start - start, token.end - start) for token in _outside(self._unspoken, _within(window))]


def _outside(spans: Sequence[Span], tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if not any(span.start <= token.start < span.end for span in spans)]


def _within(window: Chunk) -> list[Token]:
    begin, end = seconds(window.start) - 0.01, seconds(window.end) + 0.01
    return [token for token in TOKENS if begin <= token.start and token.end <= end]


def recorded(
    plan: Sequence[Shard], chunks: Sequence[Chunk], mixes: Mapping[int, str] | None = None
) -> list[ShardRecorder]:
    recorders = [ShardRecorder(shard, 1) for shard in plan]
    for recorder in recorders:
        for chunk in chunks:
            recorder.cut(0, chunk)
        frames = LENGTH * SAMPLE_RATE if recorder.shard.end is None else None
        recorder.fed(0, frames, [[]], (0,) * LENGTH, HeardSound(), mixes or {})
    return recorders


def in_order(found: Findings) -> tuple[object, ...]:
    gaps = sorted((gap.start, gap.end, gap.reason) for gap in found.gaps)
    sums = [pytest.approx(one) for one in (found.queried_seconds, found.retranscribed_seconds)]
    return sorted(found.splices, key=repr), sorted(found.dropped), gaps, sorted(found.queried), sums, found.audited


@settings(deadline=None, max_examples=60)
@given(_PLACES, st.sets(st.integers(1, LENGTH - 1), min_size=1, max_size=4), _SPANS, _SPANS, st.data())
def test_audits_of_shards_and_of_their_seams_find_what_one_audit_finds(
    places: list[tuple[float, float]],
    borders: set[int],
    lost: list[tuple[int, int]],
    unspoken: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    chunks, heard = chunks_of(places), Heard(lost, unspoken)
    failed = data.draw(st.sets(st.sampled_from([chunk.start for chunk in chunks] or [0]), max_size=2))
    seed = data.draw(st.sampled_from([None, 1, 2]))

    def audited(own: Sequence[Chunk], neighbours: set[int], *, is_followed: bool) -> Findings:
        return finished_audit(
            own,
            heard.first,
            speech=heard.speech,
            again=heard.again,
            rules=RULES,
            failed=failed,
            seed=seed,
            neighbours=neighbours,
            is_followed=is_followed,
        ).findings

    starts = [0, *sorted(borders)]
    plan = [Shard(number, *ends) for number, ends in enumerate(zip(starts, [*starts[1:], None], strict=True))]
    facts: list[ShardFacts] = []
    edges: dict[int, bytes] = {}
    for recorder in recorded(plan, chunks):
        shard = recorder.shard
        own = [chunk for chunk in chunks if (0, chunk.start, chunk.end) in _places(recorder)]
        outer = {own[0].start} if own and shard.start else set()
        found = recorder.facts([audited(own, outer, is_followed=shard.end is not None)])
        assert found is not None
        facts.append(found)
        edges[shard.number] = packed_audio(recorder.edges())
    stored = StoredShards(tuple(plan), dict(enumerate(facts)), edges.get)
    seams = list(seam_chunks(stored, facts))
    known = {one.chunk.start for one in seams if one.is_neighbour}
    between = audited([one.chunk for one in seams], known, is_followed=False)
    parts = merged_findings([joined(facts, 1).findings[0], between])
    assert in_order(parts) == in_order(audited(chunks, set(), is_followed=False))


def _places(recorder: ShardRecorder) -> set[tuple[int, int, int]]:
    found = recorder.facts([Findings()])
    assert found is not None
    return set(found.places)


def measured(samples: Samples, begin: int) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
    """Where it is audible, counted from `begin`, a whole second; and how loud each second is."""
    meter, audible, loudness = LevelMeter(), AudibleAudio(-55.0), SecondLoudness()
    for part in (meter.add(samples[begin * SAMPLE_RATE :]), meter.end()):
        audible.add(part)
        loudness.add(part)
    return audible.ranges, loudest([loudness])


@pytest.mark.parametrize("seed", range(8))
def test_ranges_and_loudness_are_those_of_the_whole_recording(seed: int) -> None:
    rng = random.Random(seed)
    samples = noise(40, -80.0)[: 40 * SAMPLE_RATE - rng.randrange(SAMPLE_RATE)]
    for _ in range(60):
        begin = rng.randrange(len(samples))
        samples[begin : begin + rng.randrange(SAMPLE_RATE)] += rng.choice((0.0, 0.1, 0.3))
        samples[begin : begin + 1600 : 2] *= -1
    starts = [0, *sorted(rng.sample(range(1, 39), 4))]
    plan = [Shard(number, *ends) for number, ends in enumerate(zip(starts, [*starts[1:], None], strict=True))]
    facts = []
    for shard in plan:
        warm_up = max(0, shard.start - rng.randrange(1, 5))
        audible, loudness = measured(samples, warm_up)
        recorder = ShardRecorder(shard, 1)
        frames = len(samples) if shard.end is None else None
        heard = HeardSound(len(samples), audible)
        recorder.fed(warm_up * SAMPLE_RATE, frames, [audible], loudness, heard, {})
        facts.append(recorder.facts([Findings()]))
    whole = joined([one for one in facts if one is not None], 1)
    audible, loudness = measured(samples, 0)
    assert list(whole.audible[0]) == audible
    assert whole.loudness == loudness
    assert list(whole.heard) == audible
    assert whole.frames == len(samples)


TWO = (Shard(0, 0, 10), Shard(1, 10, None))


@pytest.fixture
def two() -> tuple[ShardFacts, ShardFacts]:
    recorders = recorded(TWO, chunks_of([(0, 6)] * 5), {10 * SAMPLE_RATE: "mix"})
    first, second = (one.facts([Findings()]) for one in recorders)
    assert first is not None
    assert second is not None
    return first, second


def test_shards_that_saw_the_same_at_their_border_are_joined(two: tuple[ShardFacts, ShardFacts]) -> None:
    assert joined(two, 1).places == tuple((0, at * SAMPLE_RATE, (at + 6) * SAMPLE_RATE) for at in range(0, 30, 6))


def test_a_shard_whose_mix_is_turned_over_fits_but_its_windows_do_not(two: tuple[ShardFacts, ShardFacts]) -> None:
    turned = [replace(chunk, samples=-chunk.samples) for chunk in chunks_of([(0, 6)] * 5)]
    second = recorded(TWO, turned, {10 * SAMPLE_RATE: "mix"})[1].facts([Findings()])
    assert second is not None
    heard = {0: b"0", 1: b"1"}
    stored = StoredShards(TWO, {}, lambda number: None, speakers=heard.get)

    def knowing(one: ShardFacts) -> ShardFacts:
        return replace(one, speakers=digest_of(heard[one.shard.number]))

    same, other = [knowing(one) for one in two], [knowing(two[0]), knowing(second)]
    assert joined(same, 1).places == joined(other, 1).places
    assert list(heard_speakers(stored, same, {})) == [b"0", b"1"]
    with pytest.raises(NotJoinable, match="turned over"):
        list(heard_speakers(stored, other, {}))


OTHER = ChunkMark(12 * SAMPLE_RATE, 18 * SAMPLE_RATE, "other")
FAULTS: Mapping[str, tuple[dict[str, object], dict[str, object]]] = {
    "another chunk": ({}, {"start": Border("mix", (OTHER,))}),
    "another mix": ({"end": Border("another", (OTHER,))}, {"start": Border("mix", (OTHER,))}),
    "none seen behind": ({"end": Border("mix", (None,))}, {}),
    "no end": ({}, {"frames": None}),
    "two ends": ({"frames": 1}, {}),
    "other channels": ({"audible": ((), ())}, {}),
    "another order": ({"end": None}, {}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_shards_that_differ_are_not_joined(two: tuple[ShardFacts, ShardFacts], fault: str) -> None:
    changed = [replace(one, **change) for one, change in zip(two, FAULTS[fault], strict=True)]  # type: ignore[arg-type]
    with pytest.raises(NotJoinable):
        joined(changed, 1)


def test_behind_the_last_sound_of_a_channel_nothing_has_to_be_seen(two: tuple[ShardFacts, ShardFacts]) -> None:
    silent = replace(two[1], places=(), start=Border("mix", (None,)))
    assert joined([replace(two[0], end=Border("mix", (None,))), silent], 1).places == two[0].places


def test_audio_of_other_chunks_is_no_audio_of_a_shards_ends(two: tuple[ShardFacts, ShardFacts]) -> None:
    chunks = chunks_of([(0, 6)] * 5)
    right = {0: chunks[:2], 1: chunks[2:]}
    faults: list[dict[int, bytes | None]] = [
        {0: None},
        {0: b"no archive"},
        {0: packed([])},
        {0: packed(chunks[:1])},
        {1: packed([replace(chunks[2], samples=-2 * chunks[2].samples), *chunks[3:]])},
    ]
    for fault in faults:
        edges = {number: packed(own) for number, own in right.items()} | fault
        with pytest.raises(NotJoinable):
            list(seam_chunks(StoredShards(TWO, dict(enumerate(two)), edges.get), two))


def packed(chunks: Sequence[Chunk]) -> bytes:
    return packed_audio([EdgeChunk(0, chunk) for chunk in chunks])


def test_damaged_audio_of_a_shards_ends_is_no_error_of_another_kind() -> None:
    stored = packed_audio([EdgeChunk(0, Chunk(0, SOUND[:16])), EdgeChunk(0, Chunk(16, SOUND[16:32]))])
    damaged = [stored[:at] + bytes([byte]) + stored[at + 1 :] for at in range(len(stored)) for byte in (1, 8, 255)]
    for data in [*damaged, *(stored[:length] for length in range(0, len(stored), 7))]:
        with suppress(ValueError):
            unpacked_audio(data)


def test_audio_and_facts_are_read_as_they_were_stored(two: tuple[ShardFacts, ShardFacts]) -> None:
    (chunk,) = chunks_of([(1.0, 6.0)])
    ((channel, read),) = unpacked_audio(packed_audio([EdgeChunk(3, chunk)]))
    assert (channel, read.start, read.samples.tobytes()) == (3, chunk.start, chunk.samples.tobytes())
    assert read.levels.tobytes() == chunk.levels.tobytes()
    heard = Heard([(5, 3), (12, 2)], [(20, 3)])
    found = finished_audit([Chunk(0, SOUND)], heard.first, speech=heard.speech, again=heard.again).findings
    assert found.splices
    assert found.gaps
    seam = PacketMark(160_000, 1024, 3, 90, 1), PacketMark(161_024, 1024, 3, 93, 2)
    packets = CountedPart(PacketTimes(10, 10.0, ((0.0, 4.5), (6.0, 10.1))), None, seam)
    facts, adapter = replace(two[0], findings=(found,), packets=packets), TypeAdapter(ShardFacts)
    assert adapter.validate_json(adapter.dump_json(facts)) == facts
