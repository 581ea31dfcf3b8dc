"""The runbook of docs/operations.md: each entry's trouble is made, and what the page says comes true.

A test drops uploads into local servers, makes the trouble, looks for the very log lines and findings of the doctor that
the entry quotes, does what the entry has the operator do, and sees that it is over.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import stamina
from typer.testing import CliRunner
from werkzeug.exceptions import InternalServerError

from gpu_job.settings import JobSettings
from gpu_job.worker.jobs.claim import claim
from gpu_job.worker.services import JobServices, TaskIdentity, job_services
from gpu_job.worker.subscription import WorkSubscription
from infra.cli.main import app
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from shared.clock import now
from shared.enums import Engine, Method, Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, WorkItem, event_id
from shared.state.gpu_breaker import CircuitState
from shared.state.jobs.record import JobRecord, JobState
from tests.support.doctor_deployment import fixes, not_ok
from tests.support.finalized_event import finalized_event
from tests.support.fixed_word_worker import FixedWordServices, fixed_word_services, worker
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, WORK_TOPIC, LoopbackCloud
from tests.support.runbook import Observed, doctor_of, observed
from tests.support.worker_services import as_task
from trigger_function.handle_upload import handle
from trigger_function.main import on_upload
from trigger_function.reconciler import sweep as sweeps
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.reconciler.sweep import sweep
from trigger_function.services import Services, services_from_environment

AUDIO = recording("memo.wav").path.read_bytes()
PARAKEET = {"TRANSCRIPTION_METHOD": "parakeet"}
MANY = 1000
"""More requests than any of these tests makes."""
SECONDS = 600.0


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Observed:
    """What the entry says of this test's trouble."""
    return observed(request.function.__name__)


@pytest.fixture
def deepgram(shared_deepgram_server: DeepgramServer, deepgram_key: str) -> dict[str, str]:
    """Settings of a deployment with a Deepgram key."""
    return {"DEEPGRAM_API_KEY": deepgram_key, "DEEPGRAM_BASE_URL": shared_deepgram_server.url}


@pytest.fixture
def worker_services(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FixedWordServices]:
    """A sound worker's services."""
    with ExitStack() as stack:
        with monkeypatch.context() as patch:
            worker_environment(patch)
            made = stack.enter_context(fixed_word_services())
        yield made


def worker_environment(patch: pytest.MonkeyPatch, **settings: str) -> None:
    """A worker's settings; it waits for items that are held back for a moment."""
    usual = {"WORK_IDLE_SECONDS": "3", "FAULT_BACKOFF_SECONDS": "0.001", "JOB_GPU": "none"}
    for name, value in {**usual, "WORK_SUBSCRIPTION": f"{WORK_TOPIC}-test", **settings}.items():
        patch.setenv(name, value)


def work(cloud: LoopbackCloud, services: JobServices) -> bool:
    """An execution takes what is on the queue."""
    return worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()


def dropped(cloud: LoopbackCloud, services: Services, name: str, **metadata: str) -> Upload:
    upload = cloud.drop(AUDIO, name, {f"transcribe-{key}": value for key, value in metadata.items()})
    handle(services, upload)
    return upload


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def time_passes(services: Services, *uploads: Upload) -> None:
    """Nobody gave a sign of life of these for longer than the reconciler's patience."""
    for upload in uploads:
        job = services.jobs.load(upload.job_id)
        assert job is not None
        services.jobs.save(job, lease_until=now() - timedelta(minutes=1))


def outcome_of(cloud: LoopbackCloud) -> TerminalMessage:
    (message,) = cloud.terminal_messages()
    return message


def test_gpu_quota_is_gone(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    worker_services: FixedWordServices,
    deepgram: dict[str, str],
    seen: Observed,
    tmp_path: Path,
    service_account: tuple[Path, bytes],
) -> None:
    services = make_services(**PARAKEET)
    with seen.recording():
        cloud.runner.refuse_next(MANY, 429)
        uploads = [dropped(cloud, services, f"{name}.wav") for name in "abc"]
        seen.logged("launch failed", kind="quota")
        dropped_later = dropped(cloud, services, "d.wav")
        seen.logged("GPU not used: circuit breaker open")
        report = doctor_of(cloud, tmp_path / "doctor", service_account[0])
        assert not_ok(report)["GPU health"] == {"fail"}
        seen.says("Sign", "GPU health")
        assert "quota" in fixes(report, "GPU health")

        # By itself: nothing fails, however often the reconciler finds that nobody came.
        for _ in range(2 * services.settings.max_attempts):
            time_passes(services, *uploads, dropped_later)
            assert reconcile_all(services) == {"queued again": 4}
        assert cloud.terminal_messages() == []
        # What may go to Deepgram does so at the next look.
        elsewhere = uploads.pop()
        time_passes(services, elsewhere)
        assert reconcile_all(make_services(**PARAKEET, **deepgram)) == {"sent to deepgram": 1, "waiting": 3}
        assert [message.upload for message in cloud.terminal_messages()] == [elsewhere]

        # Over: the quota is there again.
        cloud.runner.answer_again()
        services.state.blob("health/gpu.json").delete()
        seen.says("Do", "health/gpu.json")
    services = make_services(**PARAKEET, DEEPGRAM_API_KEY="")  # one that has not looked at the circuit for a while
    with seen.recording():
        time_passes(services, *uploads, dropped_later)
        assert reconcile_all(services) == {"queued again": 3}
        seen.logged("execution launched", where="Over")
        assert work(cloud, worker_services)
        assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 3
        assert services.gpu.health().state is CircuitState.CLOSED
        assert {record_of(services, upload).dispatches for upload in uploads} == {0}


def test_the_model_is_corrupt(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    worker_services: FixedWordServices,
    seen: Observed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_services(**PARAKEET)
    upload = dropped(cloud, services, "a.wav")
    folder = Path(shutil.copytree(ONNX_PATH, tmp_path / "model"))
    for network in folder.glob("*.onnx"):
        network.write_bytes(network.read_bytes()[:1000])
    with seen.recording(), monkeypatch.context() as patch:
        worker_environment(patch, PARAKEET_MODEL_NAME=str(folder))
        corrupt = job_services(JobSettings(), TaskIdentity("transcribe-1", 0, 0))
        # By itself: another process tries, then the next one.
        while services.jobs.outcome(upload.job_id) is None:
            work(cloud, corrupt)
        seen.logged("engine failed for good", kind="model_load")
        message = outcome_of(cloud)
        assert message.outcome is Outcome.FAILED
        ended = "The worker ended 3 times while it worked on the file"
        assert (message.reason or "").startswith(ended)
        seen.says("By itself", f'"{ended}"')
        assert "cannot be loaded" in (message.reason or "")
        corrupt.publisher.stop()
    # Over: the release before it is back, and what failed is run again.
    seen.says("Do", "dropscribe rerun --failed-since 12h --bucket=STATE")
    again = CliRunner().invoke(app, ["rerun", "--failed-since", "12h", "--bucket", STATE])
    assert again.exit_code == 0, again.output
    assert reconcile_all(services) == {"restarted": 1}
    assert work(cloud, worker_services)
    message = outcome_of(cloud)
    assert (message.upload, message.run, message.outcome) == (upload, 2, Outcome.COMPLETED)


def test_deepgram_is_down(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    deepgram: dict[str, str],
    worker_services: FixedWordServices,
    seen: Observed,
) -> None:
    nobody = {**deepgram, "DEEPGRAM_BASE_URL": "http://127.0.0.1:9", "TRANSCRIPTION_METHOD": "deepgram"}
    services = make_services(**nobody)
    with seen.recording():
        dropped(cloud, services, "a.wav")
        seen.logged("deepgram failed", kind="network")
        assert work(cloud, worker_services)
        message = outcome_of(cloud)
        assert (message.outcome, message.engines) == (Outcome.COMPLETED, (Engine.PARAKEET_CPU,))
        assert message.decision is not None
        assert "Parakeet takes over" in message.decision.reason
    # Over: by itself.
    back = make_services(**{**nobody, "DEEPGRAM_BASE_URL": deepgram["DEEPGRAM_BASE_URL"]})
    dropped(cloud, back, "b.wav")
    assert outcome_of(cloud).engines == (Engine.DEEPGRAM,)


def test_the_state_bucket_is_read_only(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    worker_services: FixedWordServices,
    seen: Observed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = make_services(**PARAKEET)
    waiting = dropped(cloud, services, "waiting.wav")
    new = cloud.drop(AUDIO, "new.wav")
    with seen.recording():
        cloud.storage_server.fail_next(MANY, 403, "POST", "open/")
        cloud.storage_server.fail_next(MANY, 403, "POST", "jobs/")
        with pytest.raises(InternalServerError):
            on_upload(finalized_event(new))
        assert "403" in str(seen.logged("the event will be delivered again")["exception"])
        # A worker gives its upload back, and that is no attempt.
        with monkeypatch.context() as patch:
            worker_environment(patch, WORK_IDLE_SECONDS="0.5", HEARTBEAT_SECONDS="1", LEASE_SECONDS="2")
            with fixed_word_services() as unable:
                work(cloud, unable)
        assert cloud.terminal_messages() == []
        cloud.storage_server.recover()
        seen.forget()
        on_upload(finalized_event(new))
        seen.logged("routed", where="Over")
    assert work(cloud, worker_services)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 2
    assert record_of(services, waiting).attempts == 1


def test_pubsub_is_down_for_ten_minutes(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    worker_services: FixedWordServices,
    seen: Observed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trigger_function.dispatch.PUBLISH_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("shared.state.finisher.PUBLISH_TIMEOUT_SECONDS", 0.2)
    services = make_services(**PARAKEET)
    upload, bad = cloud.drop(AUDIO, "a.wav"), cloud.drop(b"no sound" * 100, "b.wav")
    with seen.recording(), cloud.pubsub_outage.lasts():
        for each in (upload, bad):
            with pytest.raises(InternalServerError):
                on_upload(finalized_event(each))
        seen.logged("the event will be delivered again")
        assert reconcile_all(services) == {"error": 2}
        seen.logged("job not reconciled")
    assert services.jobs.outcome(bad.job_id) is not None
    while (done := reconcile_all(services)) != {"waiting": 1}:
        assert done.keys() <= {"published", "queued again", "restarted", "waiting"}
        time_passes(services, *([bad] if services.jobs.markers.is_open(bad.job_id) else []))
    assert work(cloud, worker_services)
    # More than once, perhaps, for the client goes on behind a time-out: the same `event_id` says that it is the same.
    assert {message.event_id: message.outcome for message in cloud.terminal_messages()} == {
        event_id(bad.job_id): Outcome.REJECTED,
        event_id(upload.job_id): Outcome.COMPLETED,
    }


def test_an_upload_ends_every_worker(
    cloud: LoopbackCloud, make_services: MakeServices, worker_services: FixedWordServices, seen: Observed
) -> None:
    services = make_services(**PARAKEET)
    poison, neighbour = dropped(cloud, services, "poison.wav"), dropped(cloud, services, "neighbour.wav")
    items = {item.job_id: item for item in cloud.work_items()}
    with seen.recording():
        for number in range(services.settings.max_attempts + 1):
            dies_with(worker_services, items[poison.job_id], f"gpu-{number}")
            cloud.forget_executions()
            time_passes(services, poison)
            reconcile_all(services)
        message = outcome_of(cloud)
        assert (message.upload, message.outcome) == (poison, Outcome.FAILED)
        assert (message.reason or "").startswith("The worker ended 3 times while it worked on the file")
        seen.says("Sign", '"The worker ended 3 times')
    cloud.forget_executions()
    time_passes(services, neighbour)
    assert reconcile_all(services) == {"queued again": 1}
    assert work(cloud, worker_services)
    assert outcome_of(cloud).outcome is Outcome.COMPLETED


def dies_with(services: JobServices, item: WorkItem, execution: str) -> None:
    """A worker takes the item and is killed."""
    assert claim(as_task(services, execution), item).claimed is not None


def test_the_region_is_out(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    worker_services: FixedWordServices,
    seen: Observed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "LEAST_AGE", timedelta(0))
    services = make_services(**PARAKEET, UPLOADS_BUCKET=UPLOADS)
    waiting = cloud.drop(AUDIO, "waiting.wav")
    with seen.recording():
        cloud.runner.refuse_next(MANY, 503, "The region is unavailable.")
        handle(services, waiting)
        seen.logged("launch failed", kind="network")
        # This one's events are over by the time the function is there again.
        lost = cloud.drop(AUDIO, "lost.wav")
        assert cloud.terminal_messages() == []
        cloud.runner.answer_again()
        assert sweep(services, SECONDS) == 1
        seen.logged("an upload without a job was found", where="Over")
    assert record_of(services, lost).state is JobState.QUEUED
    time_passes(services, waiting)
    reconcile_all(services)
    assert work(cloud, worker_services)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.COMPLETED] * 2


def test_the_price_book_is_wrong(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    deepgram: dict[str, str],
    seen: Observed,
    tmp_path: Path,
    service_account: tuple[Path, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = (Path(__file__).parents[2] / "shared" / "costs" / "prices.toml").read_text()
    book = tmp_path / "prices.toml"
    book.write_text(shipped.replace("usd = 0.0043", "usd = 4.3").replace('region = "us-central1"', 'region = "mars"'))
    with seen.recording():
        services = make_services(PRICE_BOOK=str(book), COST_OPTIMIZATION="true", **deepgram)
        dropped(cloud, services, "a.wav")
        (item,) = cloud.work_items()
        assert item.decision.method is Method.PARAKEET
        seen.says("Sign", "`decision.quotes`")
        assert {quote.method for quote in item.decision.quotes} >= {Method.PARAKEET, Method.DEEPGRAM}

        def use_the_book(patch: pytest.MonkeyPatch) -> None:
            patch.setenv("PRICE_BOOK", str(book))

        report = doctor_of(cloud, tmp_path / "doctor", service_account[0], use_the_book)
        assert not_ok(report)["price book"] == {"warn"}
        seen.says("Sign", "price book")
    # One that lacks a price: nothing is begun.
    lacking = tmp_path / "lacking.toml"
    lacking.write_text(shipped.replace("egress_gib", "egress_gb"))
    monkeypatch.setenv("PRICE_BOOK", str(lacking))
    new = cloud.drop(AUDIO, "b.wav")
    services_from_environment.cache_clear()
    with seen.recording(), monkeypatch.context() as patch:
        patch.setattr("trigger_function.services.configure_logging", lambda: None)  # it would end the recording
        with pytest.raises(InternalServerError):
            on_upload(finalized_event(new))
    seen.logged_like("PRICE_BOOK: ")
    assert not services.jobs.markers.is_open(new.job_id)
    # Over: the shipped prices decide again.
    cloud.forget_executions()
    dropped(cloud, make_services(PRICE_BOOK="", COST_OPTIMIZATION="true", **deepgram), "c.wav")
    message = outcome_of(cloud)
    assert message.decision is not None
    assert message.decision.method is Method.DEEPGRAM


def test_back_to_deepgram_alone(
    cloud: LoopbackCloud, make_services: MakeServices, deepgram: dict[str, str], seen: Observed
) -> None:
    services = make_services(**PARAKEET, **deepgram)
    # Without a job what waits goes there at the reconciler's next look.
    waiting = dropped(cloud, services, "waiting.wav")
    assert [item.upload for item in cloud.work_items()] == [waiting]
    cloud.forget_executions()
    time_passes(services, waiting)
    without_jobs = make_services(TRANSCRIPTION_METHOD="deepgram", ENABLE_GPU_TRANSCRIPTION="false", **deepgram)
    assert reconcile_all(without_jobs) == {"sent to deepgram": 1}
    message = outcome_of(cloud)
    assert (message.upload, message.engines) == (waiting, (Engine.DEEPGRAM,))
    services = make_services(**PARAKEET, ENABLE_GPU_TRANSCRIPTION="true", **deepgram)
    before = dropped(cloud, services, "before.wav")
    alone = make_services(TRANSCRIPTION_METHOD="deepgram", **deepgram)
    dropped(cloud, alone, "after.wav")
    assert outcome_of(cloud).engines == (Engine.DEEPGRAM,)
    seen.says("Do", 'transcription_method = "deepgram"')
    private = dropped(cloud, alone, "private.wav", privacy="local")
    assert [item.upload for item in cloud.work_items() if item.upload != waiting] == [before, private]
    seen.says("Do", "transcribe-privacy: local")
    # What waited for the job goes there, too, once nobody has taken it often enough.
    for _ in range(alone.settings.max_attempts + 1):
        cloud.forget_executions()
        time_passes(alone, before)
        reconcile_all(alone)
    message = outcome_of(cloud)
    assert (message.upload, message.engines) == (before, (Engine.DEEPGRAM,))
