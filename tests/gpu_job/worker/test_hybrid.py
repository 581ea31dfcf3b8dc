"""Hybrid: how much Deepgram is to take, and that it takes it from the back, while Parakeet comes from the front."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_job.assembly.assemble import ChunkResult
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.engines.chain import EngineChain
from gpu_job.engines.deepgram import DeepgramEngine
from gpu_job.engines.local import LocalEngine
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.build_engines import Engines
from gpu_job.worker.engine_listener import WorkerEngineListener
from gpu_job.worker.heartbeat import Heartbeat
from gpu_job.worker.hybrid import LOOK_SECONDS, RANGE_SECONDS, Hybrid, Progress, seconds_for_deepgram
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.jobs.running_job import RunningJob
from gpu_job.worker.jobs.running_jobs import RunningJobs
from gpu_job.worker.services import JobServices
from infra.emulators.deepgram_server import DeepgramServer
from shared.costs.bill import LineItemKind
from shared.deepgram import Deepgram
from shared.enums import Engine, Method, Privacy
from shared.errors import DropscribeError
from shared.messages import Decision
from shared.options.model import UploadOptions
from shared.settings.deepgram import DeepgramSettings
from shared.state.job_result import failed
from shared.state.ledger_entry import month_of
from tests.support.fake_recognizer import FakeRecognizer
from tests.support.loopback_cloud import LoopbackCloud
from tests.support.sounds import make, noise, raw, silence
from tests.support.waiting import PATIENCE, wait_until
from tests.support.worker_services import MEDIA, queue_job, running_job, worker_services

SERVER_ERROR = 500
CHUNKS, APART_SECONDS, FIRST = 60, 10, 4
"""Ten minutes, of which Parakeet gets through the first four chunks before it hangs."""
SOUND_SECONDS = 7.5
"""Of each chunk; then there is silence, in which it ends."""
ENDLESS_SECONDS = 240

seconds = st.floats(0, 1e5)
progresses = st.builds(
    Progress,
    audio=seconds,
    by_parakeet=seconds,
    measured=seconds,
    given=seconds,
    elapsed=seconds,
    left=st.none() | st.floats(-1e4, 1e5),
)


@given(progresses)
def test_never_more_than_the_rest_goes_to_deepgram(progress: Progress) -> None:
    assert 0 <= seconds_for_deepgram(progress) <= progress.rest


@given(progresses, st.floats(-1e4, 1e5), seconds)
def test_the_more_time_is_left_the_less_goes_to_deepgram(progress: Progress, left: float, more: float) -> None:
    later = seconds_for_deepgram(replace(progress, left=left + more))
    assert later <= seconds_for_deepgram(replace(progress, left=left))


@given(progresses)
def test_past_the_deadline_all_of_the_rest_goes_to_deepgram(progress: Progress) -> None:
    assert seconds_for_deepgram(replace(progress, left=-1.0)) == progress.rest


def test_parakeets_speed_decides_how_much_it_keeps() -> None:
    # 100 s of audio in 10 s: with 20 s left it will have done 300 of 600 s.
    progress = Progress(audio=600, by_parakeet=100, measured=100, given=0, elapsed=10, left=20)
    assert seconds_for_deepgram(progress) == 300
    assert seconds_for_deepgram(replace(progress, given=300)) == 0
    # What an earlier attempt heard says nothing about the speed of this one.
    assert seconds_for_deepgram(replace(progress, by_parakeet=300, measured=100)) == 100
    assert seconds_for_deepgram(replace(progress, left=200)) == 0


def test_a_model_that_still_loads_gets_its_time_but_not_all_of_it() -> None:
    loading = Progress(audio=600, by_parakeet=0, measured=0, given=0, elapsed=10, left=100)
    assert seconds_for_deepgram(loading) == 0
    assert seconds_for_deepgram(replace(loading, elapsed=30)) == 600
    assert seconds_for_deepgram(replace(loading, left=None)) == 0
    assert seconds_for_deepgram(replace(loading, left=None, measured=10, by_parakeet=10)) == 590


@dataclass
class Stuck(FakeRecognizer):
    """Hangs after its first chunks, until its gate is opened."""

    done: int = 0
    first: int = FIRST

    def run(self, batch: Sequence[Samples]) -> Sequence[Samples]:
        if self.done >= self.first and not self.is_free:
            assert self.gate.wait(PATIENCE)
            self.is_free = True
        self.done += len(batch)
        return batch

    is_free: bool = False


@dataclass
class Pair:
    """Both engines at work on one upload, Parakeet stuck after its first chunks."""

    work: RunningJob
    parakeet: Stuck
    first: int
    """Chunks that Parakeet got through."""
    deepgram: DeepgramEngine
    billing: Billing

    def parts(self) -> list[ChunkResult]:
        return self.work.transcription.results()

    def by(self, engine: Engine) -> list[int]:
        """Places of the chunks that an engine answered."""
        return [round(part.start / SAMPLE_RATE / APART_SECONDS) for part in self.parts() if part.engine is engine]


Begin = Callable[..., Pair]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of bursts of noise."""
    folder = tmp_path_factory.mktemp("sound")
    burst = np.concatenate([noise(SOUND_SECONDS, -20), silence(APART_SECONDS - SOUND_SECONDS)])
    return make(folder / "bursts.wav", *raw(folder / "bursts.raw", np.tile(burst, CHUNKS)))


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise without a pause: neighbouring chunks overlap."""
    folder = tmp_path_factory.mktemp("endless")
    return make(folder / "endless.wav", *raw(folder / "endless.raw", noise(ENDLESS_SECONDS, -20)))


@pytest.fixture
def services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("JOB_GPU", "none")
    with worker_services() as made:
        yield made


@pytest.fixture
def begin(
    cloud: LoopbackCloud,
    services: JobServices,
    shared_deepgram_server: DeepgramServer,
    deepgram_key: str,
    sound: Path,
) -> Iterator[Begin]:
    """`begin(options)`: an upload of ten minutes without a word, or `upload`, in progress on both engines."""
    with ExitStack() as running:

        def start(options: UploadOptions | None = None, upload: Path = sound, first: int = FIRST) -> Pair:
            media = MEDIA.model_copy(update={"duration_seconds": seconds_of(upload)})
            decision = Decision(method=Method.HYBRID, rule="requested", reason="So.")
            _, item = queue_job(services, cloud, media=media, decision=decision, options=options or UploadOptions())
            settings = DeepgramSettings(
                deepgram_api_key=deepgram_key, deepgram_base_url=shared_deepgram_server.url, deepgram_attempts=1
            )
            recognizer, jobs = Stuck(first=first), RunningJobs(capacity=1)
            billing = Billing(Meter(time.monotonic()), services)
            listener = WorkerEngineListener(services, billing, Heartbeat(services, jobs, billing).record_costs)
            chain = EngineChain(listener=listener)
            parakeet = LocalEngine(Engine.PARAKEET_CPU, "counting", lambda: recognizer, 1200.0, chain, listener)
            deepgram = DeepgramEngine(
                lambda: Deepgram(settings, "nova-3"), "nova-3", "en", chain, listener, timeout_seconds=PATIENCE
            )
            chain.add(parakeet)
            chain.add(deepgram)
            work = running_job(claim(services, item).claimed, chain)
            running.callback(recognizer.gate.set)
            running.callback(chain.stop)
            chain.start()
            jobs.add(work)
            billing.open(work)
            work.transcription.feed(upload)
            wait_until(lambda: len(work.transcription.results()) >= first, "Parakeet's first words", PATIENCE)
            running.enter_context(Hybrid(jobs, Engines(chain, [parakeet], deepgram), None))
            return Pair(work, recognizer, len(work.transcription.results()), deepgram, billing)

        yield start


def seconds_of(upload: Path) -> float:
    with wave.open(str(upload)) as reader:
        return reader.getnframes() / reader.getframerate()


def test_a_range_of_chunks_that_overlap_is_billed_for_the_audio_that_was_sent(
    begin: Begin, services: JobServices, shared_deepgram_server: DeepgramServer, endless: Path
) -> None:
    calls = len(shared_deepgram_server.requests)
    pair = begin(upload=endless, first=1)
    wait_until(
        lambda: len(shared_deepgram_server.requests) > calls and not pair.deepgram.pending_seconds(pair.work.id),
        "Deepgram's part",
        PATIENCE,
    )
    pair.parakeet.gate.set()
    wait_until(pair.work.transcription.is_complete, "the end", PATIENCE)
    ranges = [part for part in pair.parts() if part.engine is Engine.DEEPGRAM]
    overlaps = [before.end - after.start for before, after in pairwise(ranges)]
    assert len(overlaps) >= 2
    assert min(overlaps) > 0
    sent_seconds = sum(request.audio_seconds or 0 for request in shared_deepgram_server.requests[calls:])
    bill = pair.billing.final_bill(pair.work)
    message = services.finisher.finish(pair.work.record, failed(DropscribeError("No.")), bill)
    (line,) = [line for line in message.bill.items if line.kind is LineItemKind.DEEPGRAM]
    assert not line.possibly_billed
    assert line.quantity * 60 == pytest.approx(sent_seconds, abs=0.01)
    # Each once: what two chunks of a range share is sent once.
    assert sent_seconds == pytest.approx((ranges[-1].end - ranges[0].start) / SAMPLE_RATE, abs=0.01)
    (egress,) = [line for line in message.bill.items if line.kind is LineItemKind.EGRESS]
    assert egress.quantity * 2**30 == pytest.approx(sent_seconds * SAMPLE_RATE * 2, abs=400)
    (entry,) = services.ledger.entries(month_of(message.received_at))
    assert entry.api_usd == pytest.approx(sent_seconds / 60 * services.prices.deepgram_minute_usd("nova-3"), rel=1e-4)


def test_without_a_deadline_deepgram_takes_from_the_back_until_they_meet(
    begin: Begin, shared_deepgram_server: DeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    pair = begin()
    wait_until(
        lambda: pair.by(Engine.DEEPGRAM) and not pair.deepgram.pending_seconds(pair.work.id),
        "Deepgram's part",
        PATIENCE,
    )
    by_deepgram = pair.by(Engine.DEEPGRAM)
    assert by_deepgram == list(range(by_deepgram[0], CHUNKS))
    # The others are in Parakeet's hands: one batch runs, one is ready, one is on its way to be.
    assert pair.first < by_deepgram[0] <= pair.first + 3 * 4
    asked = shared_deepgram_server.requests[calls:]
    longest = max(part.end - part.start for part in pair.parts()) / SAMPLE_RATE
    assert len(asked) == -(-len(by_deepgram) // int(RANGE_SECONDS / longest))
    pair.parakeet.gate.set()
    wait_until(lambda: len(pair.parts()) == CHUNKS, "the end", PATIENCE)
    assert pair.by(Engine.PARAKEET_CPU) == list(range(by_deepgram[0]))
    assert not any(part.failure or part.is_fallback for part in pair.parts())


def test_what_deepgram_fails_on_comes_back_and_is_not_sent_again(
    begin: Begin, shared_deepgram_server: DeepgramServer
) -> None:
    calls = len(shared_deepgram_server.requests)
    shared_deepgram_server.fail_next(2, SERVER_ERROR)
    pair = begin()
    wait_until(lambda: len(shared_deepgram_server.requests) == calls + 2, "both calls", PATIENCE)
    wait_until(lambda: not pair.deepgram.pending_seconds(pair.work.id), "both answers", PATIENCE)
    pair.parakeet.gate.set()
    wait_until(lambda: len(pair.parts()) == CHUNKS, "the end", PATIENCE)
    assert pair.by(Engine.PARAKEET_CPU) == list(range(CHUNKS))
    assert sum(part.is_fallback for part in pair.parts()) >= CHUNKS - pair.first - 3 * 4
    assert len(shared_deepgram_server.requests) == calls + 2


@pytest.mark.parametrize(
    "options",
    [UploadOptions(privacy=Privacy.LOCAL), UploadOptions(deadline_minutes=600)],
    ids=["private", "in time"],
)
def test_parakeet_keeps_what_may_not_leave_and_what_it_has_time_for(
    begin: Begin, shared_deepgram_server: DeepgramServer, options: UploadOptions
) -> None:
    calls = len(shared_deepgram_server.requests)
    pair = begin(options)
    time.sleep(2.5 * LOOK_SECONDS)
    pair.parakeet.gate.set()
    wait_until(lambda: len(pair.parts()) == CHUNKS, "the end", PATIENCE)
    assert pair.by(Engine.PARAKEET_CPU) == list(range(CHUNKS))
    assert len(shared_deepgram_server.requests) == calls
