"""A worker whose Parakeet is not sure of some words: what Deepgram hears of them, what that costs, and after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.tokens import Token
from gpu_job.audio.samples import Samples
from gpu_job.worker.jobs.stored_opinions import StoredOpinions
from gpu_job.worker.jobs.unstored_results import UnstoredResults
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from infra.recordings import recording
from shared.costs.bill import LineItemKind
from shared.enums import Engine, Outcome, Privacy
from shared.messages import TerminalMessage
from shared.options.model import UploadOptions
from shared.options.text_options import Numbers
from shared.state.jobs.record import Job
from shared.transcript.model import Transcript
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.fixed_word_worker import worker
from tests.support.loopback_cloud import PROJECT, RESULTS, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE
from tests.support.worker_services import MEDIA, queue_job, worker_services

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


def queued(cloud: LoopbackCloud, services: JobServices, options: UploadOptions) -> Job:
    media = MEDIA.model_copy(update={"duration_seconds": CALL.duration})
    job, item = queue_job(services, cloud, data=CALL.path.read_bytes(), media=media, options=options)
    path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
    services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
    return job


def ended(cloud: LoopbackCloud, services: JobServices) -> tuple[TerminalMessage, Transcript]:
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    assert message.outcome is Outcome.COMPLETED
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
