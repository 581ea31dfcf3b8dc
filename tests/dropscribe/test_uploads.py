"""What a program that uses a deployment sees of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.api_core.exceptions import Forbidden, RetryError

from dropscribe.outcomes import outcomes
from dropscribe.result_files import fetch_results
from dropscribe.resumable import send
from dropscribe.uploads import drop
from shared.enums import Channels, Method, Outcome
from shared.media import Upload
from shared.messages import TerminalMessage, event_id
from shared.options.model import UploadOptions
from tests.support.loopback_cloud import PROJECT, RESULTS, RESULTS_TOPIC, UPLOADS, LoopbackCloud
from tests.support.waiting import PATIENCE

AT = datetime(2026, 8, 1, tzinfo=UTC)


def ended(name: str) -> TerminalMessage:
    upload = Upload(bucket=UPLOADS, name=name, generation=1)
    return TerminalMessage(
        event_id=event_id(upload.job_id),
        job_id=upload.job_id,
        upload=upload,
        outcome=Outcome.COMPLETED,
        received_at=AT,
        finished_at=AT,
    )


def publish(cloud: LoopbackCloud, *messages: TerminalMessage) -> None:
    topic = cloud.publisher.topic_path(PROJECT, RESULTS_TOPIC)
    for message in messages:
        cloud.publisher.publish(topic, message.model_dump_json().encode(), **message.attributes()).result(
            timeout=PATIENCE
        )


def test_a_dropped_file_is_an_upload(cloud: LoopbackCloud, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"sound")
    upload = drop(
        cloud.storage.bucket(UPLOADS),
        path,
        "calls/\u00fc.mp3",
        UploadOptions(method=Method.DEEPGRAM, channels=Channels.SPLIT),
    )
    blob = cloud.storage.bucket(UPLOADS).get_blob("calls/\u00fc.mp3")
    assert (upload.bucket, upload.name, upload.generation) == (UPLOADS, blob.name, blob.generation)
    assert (blob.download_as_bytes(), blob.content_type) == (b"sound", "audio/mpeg")
    assert blob.metadata == {"transcribe-method": "deepgram", "transcribe-channels": "split"}


def test_a_file_of_unknown_kind_may_be_dropped_without_options(cloud: LoopbackCloud, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(b"sound")
    upload = drop(cloud.storage.bucket(UPLOADS), path, "recording")
    blob = cloud.storage.bucket(UPLOADS).get_blob("recording")
    assert (blob.content_type, blob.metadata, blob.generation) == ("application/octet-stream", None, upload.generation)


@pytest.mark.parametrize("size", [1000, 9 * 2**20], ids=["multipart", "resumable"])
def test_a_file_that_shrinks_while_it_is_read_is_an_error(
    cloud: LoopbackCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"x" * size)
    stated = os.fstat

    def then_shrink(descriptor: int) -> os.stat_result:
        found = stated(descriptor)
        os.truncate(path, 100)
        return found

    monkeypatch.setattr("dropscribe.uploads.os.fstat", then_shrink)
    with pytest.raises(OSError, match="while it was read"):
        drop(cloud.storage.bucket(UPLOADS), path, "a.mp3")


MB = 2**20


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """Of three parts and a bit, no two alike."""
    path = tmp_path / "long.wav"
    path.write_bytes(b"".join(bytes([number]) * MB for number in range(25)))
    return path


def test_a_large_file_goes_on_where_a_connection_broke(cloud: LoopbackCloud, large_file: Path) -> None:
    storage, seen = cloud.storage_server, list[tuple[int, int]]()
    # A part that never came, one whose answer was lost, and a question that was not answered.
    storage.fail_next(1, 503, "PUT", "long")
    storage.fail_next(1, 503, "PUT", "long", before=False)
    storage.fail_next(1, 503, "PUT", "long", before=False)
    options = UploadOptions(method=Method.DEEPGRAM)
    upload = drop(cloud.storage.bucket(UPLOADS), large_file, "long.wav", options, lambda *at: seen.append(at))
    blob = cloud.storage.bucket(UPLOADS).get_blob("long.wav")
    assert blob.download_as_bytes() == large_file.read_bytes()
    assert (blob.generation, blob.content_type) == (upload.generation, "audio/x-wav")
    assert blob.metadata == {"transcribe-method": "deepgram"}
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ((0, 25 * MB), (25 * MB, 25 * MB))


def test_a_refused_upload_is_not_tried_again(cloud: LoopbackCloud, large_file: Path) -> None:
    cloud.storage_server.fail_next(1, 403, "PUT", "long")
    with pytest.raises(Forbidden):
        drop(cloud.storage.bucket(UPLOADS), large_file, "long.wav")
    assert cloud.storage.bucket(UPLOADS).get_blob("long.wav") is None


def test_an_upload_that_does_not_go_on_ends_in_an_error(cloud: LoopbackCloud, large_file: Path) -> None:
    blob = cloud.storage.bucket(UPLOADS).blob("long.wav")
    url = blob.create_resumable_upload_session(size=25 * MB)
    cloud.storage_server.fail_next(100, 503, "PUT", "long")
    with large_file.open("rb") as file, pytest.raises(RetryError):
        send(url, file, 25 * MB, resume_seconds=0.1)


def test_a_small_file_says_when_it_is_there(cloud: LoopbackCloud, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    (path := tmp_path / "a.mp3").write_bytes(b"sound")
    drop(cloud.storage.bucket(UPLOADS), path, "a.mp3", on_progress=lambda *at: seen.append(at))
    assert seen == [(0, 5), (5, 5)]


def test_each_wanted_outcome_comes_once(cloud: LoopbackCloud) -> None:
    mine, other, late = ended("a"), ended("b"), ended("c")
    publish(cloud, other, mine, mine, late)
    subscription = cloud.subscription(RESULTS_TOPIC)
    received = [
        message
        for message in outcomes(cloud.subscriber, subscription, {mine.job_id, late.job_id}, timeout=PATIENCE)
        if message is not None
    ]
    assert received == [mine, late]
    # What was left out was acknowledged too.
    assert cloud.terminal_messages() == []


def test_nothing_wanted_is_nothing_waited_for(cloud: LoopbackCloud) -> None:
    assert list(outcomes(cloud.subscriber, cloud.subscription(RESULTS_TOPIC), [], timeout=PATIENCE)) == []


def test_none_comes_while_it_waits_and_then_the_outcome(cloud: LoopbackCloud) -> None:
    mine = ended("a")
    listening = outcomes(cloud.subscriber, cloud.subscription(RESULTS_TOPIC), [mine.job_id])
    assert next(listening) is None
    publish(cloud, mine)
    assert next(message for message in listening if message) == mine
    assert list(listening) == []


def test_what_never_comes_is_a_timeout(cloud: LoopbackCloud) -> None:
    publish(cloud, ended("b"))
    with pytest.raises(TimeoutError, match="no outcome of 1 uploads"):
        list(outcomes(cloud.subscriber, cloud.subscription(RESULTS_TOPIC), [ended("a").job_id], timeout=0))


def test_results_are_copied_under_their_names(cloud: LoopbackCloud, tmp_path: Path) -> None:
    results = {}
    for name in ("transcript.txt", "receipt.json"):
        key = f"calls/a.mp3/1/{name}"
        cloud.storage.bucket(RESULTS).blob(key).upload_from_string(name)
        results[name] = f"gs://{RESULTS}/{key}"
    message = ended("calls/a.mp3").model_copy(update={"results": results})
    paths = fetch_results(cloud.storage, message, tmp_path / "new" / "folder")
    assert {path.name: path.read_text() for path in paths} == {name: name for name in results}
    assert {path.parent for path in paths} == {tmp_path / "new" / "folder"}


def test_a_message_cannot_write_outside_the_folder(cloud: LoopbackCloud, tmp_path: Path) -> None:
    cloud.storage.bucket(RESULTS).blob("x").upload_from_string("x")
    message = ended("a").model_copy(update={"results": {"../../evil.txt": f"gs://{RESULTS}/x"}})
    assert fetch_results(cloud.storage, message, tmp_path / "folder") == [tmp_path / "folder" / "evil.txt"]
