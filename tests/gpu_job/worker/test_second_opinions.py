"""A worker whose Parakeet is not sure of some words, or has none: what Deepgram hears of them, what that costs, and
after a kill."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.assembly.heard_again import HeardAgain
from gpu_job.audio.decode import decode
from gpu_job.audio.samples import SAMPLE_RATE, Samples, seconds
from gpu_job.worker.jobs.stored_opinions import StoredOpinions, opinion_limits
from gpu_job.worker.jobs.unstored_results import UnstoredResults
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.quote import Quote
from shared.costs.shard_plan import Shard
from shared.enums import Engine, Method, Outcome, Privacy
from shared.messages import Decision, TerminalMessage
from shared.options.model import UploadOptions
from shared.options.text_options import Numbers
from shared.state.jobs.queued_item import work_item
from shared.state.jobs.record import Job
from shared.transcript.model import Transcript, WarningCode
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.fixed_word_worker import worker
from tests.support.loopback_cloud import PROJECT, RESULTS, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import DECISION, MEDIA, queue_job, worker_services

CALL = recording("call.opus")
MISHEARD = {"garden": "guard", "cleaned": "dented", "office": "orifice"}
"""Words of the second voice, and what the first engine makes of them; it is not sure of them."""


class Unsure:
    """Hears the call's words but for some, of which it is not sure."""

    name, engine, hardware = "unsure", Engine.PARAKEET_CPU, "none"

    def __init__(self) -> None:
        self.batch_limits = BatchLimits(8, 10_000_000)

    def prepare(self, batch: Sequence[Samples]) -> int:
        return len(batch)

    def run(self, prepared: int) -> int:
        return prepared

    def finish(self, chunks: int) -> list[list[Token]]:
        assert chunks == 1
        return [
            [
                Token(f" {MISHEARD.get(one.word, one.word)}", one.start, one.end, 0.4 if one.word in MISHEARD else 0.95)
                for one in CALL.words
            ]
        ]


class UnsureServices(JobServices):
    def load_model(self, engine: Engine) -> Unsure:
        return Unsure()


class HardOfHearing:
    """Hears the call's words but for those of a few seconds, for which it has none however often it listens."""

    name, engine, hardware = "hard of hearing", Engine.PARAKEET_CPU, "none"

    def __init__(self) -> None:
        self.batch_limits = BatchLimits(8, 10_000_000)

    def prepare(self, batch: Sequence[Samples]) -> list[float]:
        return [seconds(len(samples)) for samples in batch]

    def run(self, prepared: list[float]) -> list[float]:
        return prepared

    def finish(self, output: list[float]) -> list[list[Token]]:
        heard = [Token(f" {one.word}", one.start, one.end, 0.95) for one in CALL.words if not 9 < one.start < 15]
        return [heard if length > 15 else [] for length in output]


class HardOfHearingServices(JobServices):
    def load_model(self, engine: Engine) -> HardOfHearing:
        return HardOfHearing()


@pytest.fixture
def services(
    cloud: LoopbackCloud,
    shared_deepgram_server: FaultyDeepgramServer,
    deepgram_key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[JobServices]:
    environment = {
        "WORK_IDLE_SECONDS": "0",
        "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test",
        "JOB_GPU": "none",
        "DEEPGRAM_API_KEY": deepgram_key,
        "DEEPGRAM_BASE_URL": shared_deepgram_server.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with worker_services() as made:
        yield UnsureServices(**vars(made))


@pytest.fixture
def deaf(services: JobServices) -> JobServices:
    return HardOfHearingServices(**vars(services))


def decision(completing_usd: float) -> Decision:
    """Routing's, whose quote has so much for what the job has no words for."""
    line = LineItem(kind=LineItemKind.GPU, resource="l4", quantity=completing_usd, unit="s", usd_per_unit=1)
    quoted = Quote(
        method=Method.PARAKEET,
        bill=Bill(items=(line,)),
        completion_seconds=9,
        only_if_incomplete_usd=completing_usd,
    )
    return Decision(method=Method.PARAKEET, rule="small", reason="Short.", quotes=(quoted,))


def queued(cloud: LoopbackCloud, services: JobServices, options: UploadOptions, decided: Decision = DECISION) -> Job:
    media = MEDIA.model_copy(update={"duration_seconds": CALL.duration})
    changes = {"media": media, "options": options, "decision": decided}
    job, _ = queue_job(services, cloud, data=CALL.path.read_bytes(), **changes)
    item = work_item(job, media, decided)
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
    return job


def ended(
    cloud: LoopbackCloud, services: JobServices, outcome: Outcome = Outcome.COMPLETED
) -> tuple[TerminalMessage, Transcript]:
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert message.outcome is outcome, message.coverage
    key = message.results["transcript.json"].removeprefix(f"gs://{RESULTS}/")
    return message, Transcript.model_validate_json(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def deepgram_usd(message: TerminalMessage) -> float:
    return message.bill.usd_of(kind=LineItemKind.DEEPGRAM)


def test_what_parakeet_was_not_sure_of_is_heard_by_deepgram_within_its_price(
    cloud: LoopbackCloud, services: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    queued(cloud, services, UploadOptions(second_opinion_usd=0.01, numbers=Numbers.WRITTEN))
    message, transcript = ended(cloud, services)

    (call,) = shared_deepgram_server.requests[calls:]
    assert call.audio_seconds is not None
    assert 1 < call.audio_seconds < 6
    assert deepgram_usd(message) == pytest.approx(call.audio_seconds / 60 * 0.0043, rel=0.02)
    assert deepgram_usd(message) < 0.01

    assert "The garden cleaned the office after" in transcript.text
    assert "Call 510." in transcript.text
    (opinion,) = transcript.second_opinions
    assert (opinion.first, opinion.second, opinion.kept) == (Engine.PARAKEET_CPU, Engine.DEEPGRAM, Engine.DEEPGRAM)
    assert 8 < opinion.start < 10 < opinion.end < 12
    compared = {segment.engine: segment.compared_with for segment in transcript.segments if segment.compared_with}
    assert compared[Engine.DEEPGRAM] is Engine.PARAKEET_CPU
    assert {segment.compared_with for segment in transcript.segments if segment.end < 8} == {None}
    assert set(message.engines) == {Engine.PARAKEET_CPU, Engine.DEEPGRAM}
    assert not [blob.name for blob in services.state.list_blobs() if "second-opinion" in blob.name]


@pytest.mark.parametrize(
    "options",
    [
        UploadOptions(),
        UploadOptions(second_opinion_usd=0.01, privacy=Privacy.LOCAL),
        UploadOptions(second_opinion_usd=0.000_01),
        UploadOptions(second_opinion_usd=0.01, max_cost_usd=0.000_001),
    ],
    ids=["not asked", "private", "too dear", "above what the upload may cost"],
)
def test_nothing_is_sent_where_nobody_asks_or_it_may_not_be(
    cloud: LoopbackCloud, services: JobServices, shared_deepgram_server: FaultyDeepgramServer, options: UploadOptions
) -> None:
    calls = len(shared_deepgram_server.requests)
    queued(cloud, services, options)
    message, transcript = ended(cloud, services)
    assert len(shared_deepgram_server.requests) == calls
    assert "The guard dented the orifice after" in transcript.text
    assert (transcript.second_opinions, deepgram_usd(message)) == ((), 0)


def test_what_deepgram_has_heard_as_a_whole_it_is_not_sent_again(
    cloud: LoopbackCloud, services: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    job = queued(cloud, services, UploadOptions(second_opinion_usd=0.01))
    services.jobs.save(job, has_first_transcript=True)
    _, transcript = ended(cloud, services)
    assert len(shared_deepgram_server.requests) == calls
    assert "The guard dented the orifice after" in transcript.text


def test_after_a_kill_behind_the_call_nobody_asks_again(
    cloud: LoopbackCloud, services: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    job = queued(cloud, services, UploadOptions(second_opinion_usd=0.01))
    # What an attempt left that was killed before the answer.
    assert StoredOpinions(services.state, job.record, UnstoredResults(has_parts=False)).begin()
    _, transcript = ended(cloud, services)
    assert len(shared_deepgram_server.requests) == calls
    assert "The guard dented the orifice after" in transcript.text


def test_where_deepgram_fails_the_first_words_stand(
    cloud: LoopbackCloud, services: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    shared_deepgram_server.fail_next(1, 500)
    queued(cloud, services, UploadOptions(second_opinion_usd=0.01))
    message, transcript = ended(cloud, services)
    assert "The guard dented the orifice after" in transcript.text
    assert transcript.second_opinions == ()
    # An error of the server's own may be billed.
    assert deepgram_usd(message) > 0


MISSED = "The garden cleaned the office after the dark dog. Please wait inside four blue coffee soon."


def test_what_parakeet_has_no_words_for_is_heard_by_deepgram_where_that_is_too_much(
    cloud: LoopbackCloud, deaf: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    queued(cloud, deaf, UploadOptions(min_coverage=0.98), decision(0.01))
    message, transcript = ended(cloud, deaf)

    (call,) = shared_deepgram_server.requests[calls:]
    assert call.audio_seconds == pytest.approx(6, abs=1)
    assert deepgram_usd(message) == pytest.approx(call.audio_seconds / 60 * 0.0043, rel=0.02)
    assert f"{MISSED} Call five one zero." in transcript.text
    assert (transcript.coverage.gaps, transcript.coverage.share, message.warnings) == ((), 1.0, ())
    assert set(message.engines) == {Engine.PARAKEET_CPU, Engine.DEEPGRAM}
    assert {one.first for one in transcript.second_opinions} == {Engine.PARAKEET_CPU}
    assert {one.first_confidence for one in transcript.second_opinions} == {None}
    (others,) = {one.engine for one in transcript.segments if 9 < one.start < 14.9}
    assert others is Engine.DEEPGRAM
    assert not [blob.name for blob in deaf.state.list_blobs() if "second-opinion" in blob.name]


@pytest.mark.parametrize(
    ("least", "warnings"), [(0.98, [WarningCode.COVERAGE_BELOW_MINIMUM]), (0.5, [])], ids=["too few", "enough"]
)
def test_without_another_engine_a_job_with_too_few_words_is_completed_with_a_warning(
    cloud: LoopbackCloud,
    deaf: JobServices,
    shared_deepgram_server: FaultyDeepgramServer,
    least: float,
    warnings: list[WarningCode],
) -> None:
    calls = len(shared_deepgram_server.requests)
    queued(cloud, deaf, UploadOptions(min_coverage=least, privacy=Privacy.LOCAL), decision(0.01))
    message, transcript = ended(cloud, deaf, Outcome.COMPLETED_WITH_GAPS)
    assert len(shared_deepgram_server.requests) == calls
    assert "water. Call five one zero." in transcript.text
    assert [warning.code for warning in message.warnings] == warnings


@pytest.mark.parametrize(
    ("options", "most_usd", "changes", "sent_seconds"),
    [
        (UploadOptions(min_coverage=0.98), 0.0043, {}, 57),
        (UploadOptions(), 0.0043, {}, 0),
        (UploadOptions(min_coverage=0.98), 0.0, {}, 0),
        (UploadOptions(min_coverage=0.98, max_cost_usd=0.002), 0.0043, {}, 26),
        (UploadOptions(min_coverage=0.98, second_opinion_usd=0.001, max_cost_usd=0.002), 0.0043, {}, 13),
        (UploadOptions(min_coverage=0.98), 0.0043, {"deepgram_calls": 1}, 0),
    ],
    ids=["asked", "not asked", "not quoted", "what the upload may cost", "beside doubtful words", "heard before"],
)
def test_how_much_without_words_may_be_sent(
    cloud: LoopbackCloud,
    services: JobServices,
    options: UploadOptions,
    most_usd: float,
    changes: dict[str, int],
    sent_seconds: float,
) -> None:
    job, _ = queue_job(services, cloud, options=options, decision=decision(most_usd), **changes)
    limits = opinion_limits(services)(job.record, decision(most_usd), Bill(), UnstoredResults(has_parts=False))
    assert (limits.missing_seconds if limits else 0) == pytest.approx(sent_seconds, abs=1)


class HearsChunks:
    """Hears the words of any chunk of the call but those of a few seconds. It finds the chunk by its first samples."""

    name, engine, hardware = "in place", Engine.PARAKEET_CPU, "none"

    def __init__(self) -> None:
        self.batch_limits = BatchLimits(8, 10_000_000)
        self._whole = np.concatenate(list(decode(CALL.path)))

    def prepare(self, batch: Sequence[Samples]) -> list[tuple[float, float]]:
        return [(self._start(samples[:40]), seconds(len(samples))) for samples in batch]

    def _start(self, first: Samples) -> float:
        places = np.flatnonzero(self._whole[: -len(first)] == first[0])
        found = [at for at in places if np.array_equal(self._whole[at : at + len(first)], first)]
        return seconds(int(found[0])) if len(found) == 1 else -1.0

    def run(self, prepared: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return prepared

    def finish(self, output: list[tuple[float, float]]) -> list[list[Token]]:
        words = [one for one in CALL.words if not 9 < one.start < 15]
        return [
            [
                Token(f" {one.word}", one.start - start, one.end - start, 0.95)
                for one in words
                if 0 <= start <= one.start < start + length
            ]
            for start, length in output
        ]


class HearsChunksServices(JobServices):
    def load_model(self, engine: Engine) -> HearsChunks:
        return HearsChunks()


def test_of_an_upload_in_shards_it_is_heard_when_they_are_put_together(
    cloud: LoopbackCloud,
    services: JobServices,
    shared_deepgram_server: FaultyDeepgramServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    calls = len(shared_deepgram_server.requests)
    asked = HearsChunksServices(**vars(services))
    shards = (Shard(0, 0, 7), Shard(1, 7, None))
    job = queued(cloud, asked, UploadOptions(min_coverage=0.98), decision(0.01))
    cloud.work_items()  # its own item
    job = asked.jobs.save(job, shards=shards)
    path = asked.publisher.topic_path(PROJECT, WORK_TOPIC)
    for shard in shards:
        item = work_item(job, MEDIA.model_copy(update={"duration_seconds": CALL.duration}), decision(0.01))
        data = item.model_copy(update={"shard": shard.number}).model_dump_json().encode()
        asked.publisher.publish(path, data).result(timeout=PATIENCE)
    message, transcript = ended(cloud, asked)
    (call,) = shared_deepgram_server.requests[calls:]
    assert deepgram_usd(message) == pytest.approx((call.audio_seconds or 0) / 60 * 0.0043, rel=0.02)
    assert MISSED in transcript.text
    assert (transcript.coverage.gaps, message.warnings) == ((), ())
    assert not [record.message for record in caplog.records if "once more" in record.message]


def test_after_a_kill_behind_the_call_for_missing_words_nobody_pays_again(
    cloud: LoopbackCloud, deaf: JobServices, shared_deepgram_server: FaultyDeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    job = queued(cloud, deaf, UploadOptions(min_coverage=0.98), decision(0.01))
    store = StoredOpinions(deaf.state, job.record, UnstoredResults(has_parts=False))
    assert store.begin()
    stretch = (Token(" garden", 9.97, 10.26, 0.9), Token(" gate.", 10.3, 14.6, 0.9))
    rate = SAMPLE_RATE
    store.save([HeardAgain(0, 9 * rate, 15 * rate, Engine.DEEPGRAM, stretch, missed_by=Engine.PARAKEET_CPU)])
    _, transcript = ended(cloud, deaf)
    assert len(shared_deepgram_server.requests) == calls
    assert "water. garden gate. Call five one zero." in transcript.text
