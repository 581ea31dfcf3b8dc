"""One trace for each upload: from its event in the function to its terminal message, through the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import flask
import numpy as np
import pytest
from cloudevents.http import CloudEvent
from google.cloud import pubsub_v1
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from gpu_job.asr.onnx.tdt_model import OnnxTdt
from gpu_job.asr.recognizer import Recognizer
from gpu_job.audio.chunker import Chunk
from gpu_job.engines.task import Task
from gpu_job.worker.billing.bills import Billing
from gpu_job.worker.billing.meter import Meter
from gpu_job.worker.engine_listener import BatchSpans
from gpu_job.worker.services import JobServices
from gpu_job.worker.subscription import WorkSubscription
from gpu_job.worker.worker import Worker
from infra.emulators.cloud_events import new_traceparent
from infra.emulators.deepgram_server import DeepgramServer
from infra.recordings import recording
from shared.clock import now
from shared.enums import Engine, JobDevice, Method
from shared.media import Upload
from shared.state.jobs.record import JobState
from shared.telemetry import tracing
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import CPU_JOB, RESULTS, RESULTS_TOPIC, WORK_TOPIC, LoopbackCloud
from tests.support.recorded_spans import RecordedSpans, id_of, named, parent_of
from tests.support.waiting import PATIENCE
from tests.support.worker_services import work_item, worker_services
from trigger_function.main import on_upload, reconcile
from trigger_function.services import Services

CALL = recording("call.opus")
Work = Callable[[], None]


@dataclass(frozen=True)
class HearingServices(JobServices):
    """The production services, with a model that is loaded already."""

    recognizer: Recognizer

    def load_model(self, engine: Engine) -> Recognizer:
        return self.recognizer


@pytest.fixture
def recorded_spans(monkeypatch: pytest.MonkeyPatch) -> RecordedSpans:
    return RecordedSpans(monkeypatch)


@pytest.fixture
def function_services(make_services: MakeServices) -> Services:
    return make_services(
        WORK_IDLE_SECONDS="0",
        WORK_SUBSCRIPTION=f"{WORK_TOPIC}-test",
        JOB_GPU="none",
        GPU_JOB="",
        CPU_JOB=CPU_JOB,
        CPU_WORK_TOPIC=WORK_TOPIC,
    )


@pytest.fixture
def work(cloud: LoopbackCloud, function_services: Services, tiny_model: OnnxTdt) -> Iterator[Work]:
    """`work()`: one run of a worker, in this process."""
    with worker_services() as usual:
        services = HearingServices(**vars(usual), recognizer=tiny_model)

        def run() -> None:
            subscription = WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))
            assert Worker(services, subscription, Billing(Meter(time.monotonic()), services)).run()

        yield run


def event(upload: Upload, header: str) -> None:
    """The function is called as Cloud Run calls it."""
    data = {"bucket": upload.bucket, "name": upload.name, "generation": str(upload.generation)}
    kind = "google.cloud.storage.object.v1.finalized"
    with flask.Flask("test").test_request_context(headers={"traceparent": header}):
        on_upload(CloudEvent({"type": kind, "source": "//storage.googleapis.com", "id": "1"}, data))


def attributes_of_messages(cloud: LoopbackCloud, topic: str) -> list[dict[str, str]]:
    request = pubsub_v1.types.PullRequest(subscription=cloud.subscription(topic), max_messages=100)
    return [dict(one.message.attributes) for one in cloud.subscriber.pull(request=request).received_messages]


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def test_an_upload_has_one_trace_from_its_event_to_its_message(
    cloud: LoopbackCloud, recorded_spans: RecordedSpans, work: Work
) -> None:
    headers: dict[str, str] = {}
    for name in ("one.opus", "two.opus"):
        upload = cloud.drop(CALL.path.read_bytes(), name)
        headers[upload.job_id] = new_traceparent()
        event(upload, headers[upload.job_id])
    work()
    messages = {message["job_id"]: message for message in attributes_of_messages(cloud, RESULTS_TOPIC)}
    for job_id, header in headers.items():
        trace_id, _ = named(header)
        one = partial(recorded_spans.one, trace_id=trace_id)
        upload_span, dispatched, attempt = one("upload"), one("dispatch"), one("transcribe")
        assert parent_of(upload_span) == named(header)
        for name in ("inspect", "decide", "dispatch"):
            assert parent_of(one(name)) == id_of(upload_span)
        for name in ("queue", "launch"):
            assert parent_of(one(name)) == id_of(dispatched)
        assert parent_of(attempt) == id_of(one("queue"))
        for name in ("fetch", "decode", "assemble", "publish"):
            assert parent_of(one(name)) == id_of(attempt)
        assert named(messages[job_id]["traceparent"]) == id_of(one("publish"))
        assert attribute(upload_span, "job_id") == attribute(attempt, "job_id") == job_id
        assert (attribute(attempt, "attempt"), attribute(attempt, "outcome")) == (1, "completed")
        assert attribute(attempt, "duration_seconds") == pytest.approx(CALL.duration, abs=0.1)
        assert attribute(one("decode"), "decoded_seconds") == pytest.approx(CALL.duration, abs=0.1)
        batches = [batch for batch in recorded_spans.all("batch") if id_of(attempt) in linked(batch)]
        assert batches
        for batch in batches:
            assert parent_of(batch) == (id_of(attempt) if len(batch.links) == 1 else None)


def linked(span: ReadableSpan) -> set[tuple[int, int]]:
    return {(link.context.trace_id, link.context.span_id) for link in span.links}


def test_no_span_says_what_was_said(cloud: LoopbackCloud, recorded_spans: RecordedSpans, work: Work) -> None:
    upload = cloud.drop(CALL.path.read_bytes(), "secret plans.opus")
    event(upload, new_traceparent())
    work()
    name = f"{upload.name}/{upload.generation}/transcript.txt"
    text = cloud.storage.bucket(RESULTS).blob(name).download_as_bytes().decode()
    said = {word.strip(".,?!").lower() for word in text.split() if len(word) > 4}
    sent = {str(value).lower() for span in recorded_spans.spans for value in (span.attributes or {}).values()}
    assert len(said) > 10
    assert not {(word, value) for word in said for value in sent if word in value}
    assert not {value for value in sent if "http" in value or "secret" in value}


def test_a_batch_of_several_uploads_is_linked_to_each(recorded_spans: RecordedSpans) -> None:
    uploads = {name: tracing.start_span("transcribe", tracing.context_of(new_traceparent())) for name in ("a", "b")}
    chunk = Chunk(0, np.zeros(16_000, np.float32), 1.0)
    tasks = {name: Task(name, chunk, lambda _: None, span=span) for name, span in uploads.items()}
    spans = BatchSpans(Engine.PARAKEET_CPU)
    for batch in ([*tasks.values(), tasks["a"]], [tasks["b"]]):
        spans.batch_started()
        spans.batch_finished(batch)
    for span in uploads.values():
        span.end()
    both, alone = recorded_spans.all("batch")
    a, b = (id_of(span) for span in recorded_spans.all("transcribe"))
    assert (linked(both), parent_of(both)) == ({a, b}, None)
    assert (attribute(both, "chunks"), attribute(both, "audio_seconds")) == (3, 3.0)
    assert (linked(alone), parent_of(alone)) == ({b}, b)


def test_whoever_queues_it_again_and_whichever_attempt_takes_it_go_on_in_its_trace(
    cloud: LoopbackCloud, function_services: Services, recorded_spans: RecordedSpans, work: Work
) -> None:
    upload, header = cloud.drop(CALL.path.read_bytes()), new_traceparent()
    event(upload, header)
    job = function_services.jobs.load(upload.job_id)
    assert job is not None
    # Its message was lost, no execution came, and the queue has been silent for too long.
    cloud.work_items()
    cloud.forget_executions()
    function_services.jobs.save(job, lease_until=now() - timedelta(seconds=1))
    with flask.Flask("test").test_request_context(headers={"traceparent": new_traceparent()}):
        assert reconcile(flask.request) == {"queued again": 1}
    # A third one, as an older release queued it: it names no trace.
    publish = partial(
        function_services.publisher.publish,
        function_services.work_topics[JobDevice.CPU],
        work_item(upload).model_dump_json().encode(),
    )
    cloud.work_items()
    publish().result(timeout=PATIENCE)
    work()
    trace_id, _ = named(header)
    reconciled, upload_span = recorded_spans.one("reconcile", trace_id), recorded_spans.one("upload", trace_id)
    assert parent_of(reconciled) == parent_of(recorded_spans.one("transcribe", trace_id)) == id_of(upload_span)
    assert {parent_of(span) for span in recorded_spans.all("queue", trace_id)} == {
        id_of(reconciled),
        id_of(recorded_spans.one("dispatch", trace_id)),
    }


def test_what_deepgram_hears_for_the_function_is_traced_to_its_message(
    cloud: LoopbackCloud,
    make_services: MakeServices,
    recorded_spans: RecordedSpans,
    shared_deepgram_server: DeepgramServer,
    deepgram_key: str,
) -> None:
    make_services(
        DEEPGRAM_API_KEY=deepgram_key,
        DEEPGRAM_BASE_URL=shared_deepgram_server.url,
        TRANSCRIPTION_METHOD=Method.DEEPGRAM.value,
    )
    event(cloud.drop(CALL.path.read_bytes()), new_traceparent())
    assert (
        parent_of(recorded_spans.one("deepgram"))
        == parent_of(recorded_spans.one("publish"))
        == id_of(recorded_spans.one("dispatch"))
    )
    assert attribute(recorded_spans.one("deepgram"), "duration_seconds") == pytest.approx(CALL.duration, abs=0.1)
    (message,) = attributes_of_messages(cloud, RESULTS_TOPIC)
    assert named(message["traceparent"]) == id_of(recorded_spans.one("publish"))
    assert not [span for span in recorded_spans.spans if deepgram_key in span.to_json() or "X-Goog" in span.to_json()]


def test_a_redelivered_event_goes_on_in_the_uploads_trace(
    cloud: LoopbackCloud, function_services: Services, recorded_spans: RecordedSpans, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, first, second = cloud.drop(CALL.path.read_bytes()), new_traceparent(), new_traceparent()

    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("gs://secret")

    with monkeypatch.context() as patched:
        patched.setattr("trigger_function.handle_upload.decide_and_reserve", broken)
        with pytest.raises(Exception, match="500"):
            event(upload, first)
    event(upload, second)
    failed, again = recorded_spans.all("upload")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ConnectionError")
    assert parent_of(again) == named(second)
    assert {parent_of(span) for span in recorded_spans.all("inspect")} == {id_of(failed)}
    assert parent_of(recorded_spans.one("dispatch")) == id_of(failed)
    job = function_services.jobs.load(upload.job_id)
    assert job is not None
    assert job.record.state is JobState.QUEUED
    assert named(str(job.record.traceparent)) == id_of(failed)
    (attributes,) = attributes_of_messages(cloud, WORK_TOPIC)
    assert named(attributes["traceparent"]) == id_of(recorded_spans.one("queue"))
