"""A worker whose upload is to be redacted: no result has the words, the recording lacks them, and nothing that had them
is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_job import transcribe
from gpu_job.settings import JobSettings
from gpu_job.worker.services import JobServices, job_services
from gpu_job.worker.subscription import WorkSubscription
from infra.tiny_parakeet import ONNX_PATH
from shared.costs.shard_plan import Shard
from shared.messages import TerminalMessage
from shared.options.parsing import parse_upload_options
from shared.transcript.model import Transcript, WarningCode
from tests.support.fixed_word_worker import TASK, fixed_word_services, item_of, queued, worker
from tests.support.loopback_cloud import PROJECT, RESULTS, STATE, WORK_TOPIC, LoopbackCloud
from tests.support.waiting import PATIENCE

UNREDACTED = "unredacted"
SECRETS = (b"island", b"helen", b"dark dog")
"""Of the recording: `call.opus`."""


@pytest.fixture
def settings(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK_IDLE_SECONDS", "0")
    monkeypatch.setenv("WORK_SUBSCRIPTION", f"{WORK_TOPIC}-test")
    monkeypatch.setenv("JOB_GPU", "none")


@pytest.fixture
def services(settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServices]:
    monkeypatch.setenv("PARAKEET_MODEL_NAME", str(ONNX_PATH))
    made = job_services(JobSettings(), TASK)
    yield made
    made.publisher.stop()


def ended(cloud: LoopbackCloud, services: JobServices, **metadata: str) -> TerminalMessage:
    """The outcome of an upload that has these options."""
    options = {f"transcribe-{name.replace('_', '-')}": value for name, value in metadata.items()}
    job = queued(cloud, services, "call.opus")
    services.jobs.save(job, options=parse_upload_options(options))
    assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    return message


def contents(cloud: LoopbackCloud, bucket: str) -> dict[str, bytes]:
    return {blob.name: bytes(blob.download_as_bytes()) for blob in cloud.storage.bucket(bucket).list_blobs()}


def transcript_of(results: dict[str, bytes]) -> Transcript:
    (data,) = (data for name, data in results.items() if name.endswith("/transcript.json"))
    return Transcript.model_validate_json(data)


def test_no_result_has_what_was_redacted(cloud: LoopbackCloud, services: JobServices, tmp_path: Path) -> None:
    message = ended(cloud, services, redact="pii", redact_terms="Island, dark dog")
    results = contents(cloud, RESULTS)
    told = message.model_dump_json().encode()
    for data in (*results.values(), told):
        assert not [secret for secret in SECRETS if secret in data.lower()]
    # What the attempt had stored, and what has the words, is gone.
    assert not [name for name in contents(cloud, STATE) if f"{message.job_id}/parts" in name]

    transcript = transcript_of(results)
    assert transcript.redaction is not None
    assert {one.label for one in transcript.redaction.stretches} >= {"NAME", "REDACTED"}
    assert "[NAME]" in transcript.text
    assert message.redact == ("pii", "custom")
    assert transcript.redaction.audio is not None
    assert set(message.results) >= {"redacted.ogg", "transcript.json", "transcript.html"}
    target = tmp_path / "redacted.ogg"
    target.write_bytes(next(data for name, data in results.items() if name.endswith("/redacted.ogg")))
    again = transcribe(target, engine=ONNX_PATH).text.lower().encode()
    assert again
    assert not [secret for secret in SECRETS if secret in again]


def test_a_word_that_is_heard_all_the_same_leaves_no_recording_and_a_warning(
    cloud: LoopbackCloud, settings: None
) -> None:
    with fixed_word_services() as services:  # whose model hears the same word in a tone
        message = ended(cloud, services, redact_terms="hello", redact_audio="beep")
    results = contents(cloud, RESULTS)
    assert not [name for name in results if name.endswith(".ogg")]
    assert not [name for name, data in results.items() if b"hello" in data.lower()]
    assert WarningCode.REDACTED_AUDIO_MISSING in {warning.code for warning in message.warnings}
    assert "redacted.ogg" not in message.results


def test_what_was_before_is_stored_in_a_bucket_of_its_own(
    cloud: LoopbackCloud, settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNREDACTED_BUCKET", UNREDACTED)
    cloud.storage.create_bucket(UNREDACTED)
    with fixed_word_services() as services:
        ended(cloud, services, redact_terms="hello", redact_audio="off")
    before = contents(cloud, UNREDACTED)
    assert [name.rpartition("/")[2] for name in before] == ["transcript.json"]
    assert "Hello." in transcript_of(before).text
    assert "Hello" not in transcript_of(contents(cloud, RESULTS)).text


def test_of_an_upload_in_shards_no_result_and_no_part_has_what_was_redacted(
    cloud: LoopbackCloud, settings: None
) -> None:
    shards = (Shard(0, 0, 10), Shard(1, 10, None))
    with fixed_word_services() as services:
        job = queued(cloud, services, "call.opus")
        cloud.work_items()  # its own item
        options = parse_upload_options({"transcribe-redact-terms": "hello", "transcribe-redact-audio": "off"})
        job = services.jobs.save(job, options=options, shards=shards)
        path = services.publisher.topic_path(PROJECT, WORK_TOPIC)
        for shard in shards:
            item = item_of(job).model_copy(update={"shard": shard.number})
            services.publisher.publish(path, item.model_dump_json().encode()).result(timeout=PATIENCE)
        assert worker(services, WorkSubscription(cloud.subscriber, cloud.subscription(WORK_TOPIC))).run()
    (message,) = cloud.terminal_messages()
    results = contents(cloud, RESULTS)
    assert transcript_of(results).text.count("[REDACTED]") > 5
    assert not [name for name, data in results.items() if b"hello" in data.lower()]
    assert not [name for name, data in contents(cloud, STATE).items() if b" Hello." in data]
    assert message.word_count == len(transcript_of(results).words)
