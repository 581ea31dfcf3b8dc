"""`import dropscribe`: a recording's way through a deployment, as a program sees it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from google.cloud.storage import Blob
from pydantic import ValidationError

from dropscribe import (
    Dropscribe,
    ErasureRefused,
    Job,
    Method,
    NoTranscript,
    NotSubmitted,
    Outcome,
    Progress,
    RerunRefused,
    Stage,
    UnknownJob,
    UploadOptions,
)
from infra.recordings import recording
from shared.media import Upload
from shared.objects import bucket_and_name
from shared.options.subtitle_rules import SubtitleOptions
from tests.support.coroutines import run
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.loopback_cloud import STATE, UPLOADS, LoopbackCloud
from tests.support.waiting import PATIENCE
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

MEMO = recording("memo").path


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropscribe.job.LOOK_SECONDS", 0.05)


@pytest.fixture
def services(make_services: MakeServices, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str) -> Services:
    """Of a deployment that asks Deepgram."""
    return make_services(DEEPGRAM_API_KEY=deepgram_key, DEEPGRAM_BASE_URL=shared_deepgram_server.url)


@pytest.fixture
def client(cloud: LoopbackCloud) -> Dropscribe:
    return Dropscribe(uploads=UPLOADS, state=STATE)


def deliver(services: Services, job: Job, cloud: LoopbackCloud) -> None:
    """The event of a job's upload."""
    for blob in cloud.storage.list_blobs(UPLOADS):
        upload = Upload(bucket=UPLOADS, name=blob.name, generation=blob.generation)
        if upload.job_id == job.id:
            handle(services, upload)


def test_a_recording_becomes_its_transcript(
    cloud: LoopbackCloud, client: Dropscribe, services: Services, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    job = client.submit(MEMO, UploadOptions(method=Method.DEEPGRAM), on_progress=lambda *at: seen.append(at))
    assert seen[-1] == (MEMO.stat().st_size, MEMO.stat().st_size)
    with pytest.raises(UnknownJob):
        job.progress()  # its event has not arrived
    events: list[Progress] = []
    watching = threading.Thread(target=lambda: events.extend(job.events(PATIENCE)))
    watching.start()
    deliver(services, job, cloud)
    watching.join(PATIENCE)
    assert events[-1].stage is Stage.DONE
    outcome = job.wait(PATIENCE)
    assert outcome.outcome is Outcome.COMPLETED
    assert outcome.bill.usd > 0
    transcript = job.transcript()
    assert transcript.text.startswith("The doctor remembered the report")
    assert transcript.words[0].end > 0
    assert job.result("transcript.srt").startswith(b"1")
    assert {path.name for path in job.results(tmp_path)} == set(outcome.results)
    assert client.job(f"gs://{UPLOADS}/memo.wav").id == client.job(job.id).id == job.id


def blob_of(cloud: LoopbackCloud, uri: str) -> Blob:
    bucket, name = bucket_and_name(uri)
    return cloud.storage.bucket(bucket).blob(name)


@pytest.mark.usefixtures("services")
def test_what_the_deployment_does_not_store_is_made_of_the_transcript(
    cloud: LoopbackCloud, client: Dropscribe, make_services: MakeServices
) -> None:
    options = UploadOptions(subtitles=SubtitleOptions(line=16))
    rules = {"SUBTITLE_LINES": "1", "SUBTITLE_LINE_COLUMNS": "20", "SUBTITLE_CHARS_PER_SECOND": "12.5"}
    all_stored = client.submit(MEMO, options)
    deliver(make_services(**rules), all_stored, cloud)
    job = client.submit(MEMO, options)
    deliver(make_services(RESULT_FORMATS="transcript.txt, words.csv", **rules), job, cloud)
    assert {*job.wait(PATIENCE).results} == {"transcript.json", "transcript.txt", "words.csv", "receipt.json"}
    for file in ("transcript.srt", "transcript.vtt"):
        assert job.result(file) == all_stored.result(file, PATIENCE)
    stored_transcript = blob_of(cloud, job.wait().results["transcript.json"])
    stored_transcript.metadata = {"transcribe-subtitles": "line=none"}
    stored_transcript.patch()
    assert job.result("transcript.srt").startswith(b"1")
    stored_transcript.delete()
    with pytest.raises(NoTranscript, match="deleted"):
        job.result("transcript.srt")
    with pytest.raises(NoTranscript, match=r"no transcript\.doc"):
        job.result("transcript.doc")
    with pytest.raises(ValidationError, match="known are"):
        make_services(RESULT_FORMATS="srt")


def test_events_in_an_event_loop(cloud: LoopbackCloud, client: Dropscribe, services: Services) -> None:
    async def follow() -> tuple[list[Progress], int]:
        job = await asyncio.to_thread(client.submit, MEMO)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        working = asyncio.create_task(asyncio.to_thread(deliver, services, job, cloud))
        events = [event async for event in job.events(PATIENCE)]
        await working
        beside.cancel()
        return events, turns

    events, turns = run(follow())
    assert [event.is_done for event in events] == [False] * (len(events) - 1) + [True]
    assert turns > 100


def test_waiting_has_an_end(client: Dropscribe) -> None:
    job = client.submit(MEMO)
    with pytest.raises(TimeoutError, match=job.id):
        job.wait(0.1)


def test_what_cannot_be_transcribed_says_why(
    cloud: LoopbackCloud, client: Dropscribe, services: Services, tmp_path: Path
) -> None:
    (path := tmp_path / "bad.wav").write_bytes(b"RIFF")
    job = client.submit(path)
    deliver(services, job, cloud)
    with pytest.raises(NoTranscript) as caught:
        job.transcript()
    assert caught.value.outcome.outcome is Outcome.REJECTED
    assert caught.value.reason == caught.value.outcome.reason
    with pytest.raises(NoTranscript):
        job.results(tmp_path / "results")


def test_a_job_runs_again(cloud: LoopbackCloud, client: Dropscribe, services: Services) -> None:
    job = client.submit(MEMO)
    deliver(services, job, cloud)
    first = job.wait()
    with pytest.raises(RerunRefused, match="force"):
        job.rerun()
    again = job.rerun("deepgram", force=True)
    assert again.id == job.id
    assert job.outcome() is None
    reconcile_all(services)
    assert job.wait(PATIENCE).run == first.run + 1


def test_an_erased_job_is_gone(cloud: LoopbackCloud, client: Dropscribe, services: Services) -> None:
    job = client.submit(MEMO)
    deliver(services, job, cloud)
    count = len(job.wait().results)
    receipt = job.erase()
    assert (receipt.job_id, receipt.complete, receipt.upload.objects) == (job.id, True, 1)
    assert receipt.results.objects == count
    assert list(cloud.storage.list_blobs(UPLOADS)) == []
    assert job.erase() == receipt
    with pytest.raises(ErasureRefused):
        client.job("f" * 24).erase()


def test_deleted_results_are_no_transcript(cloud: LoopbackCloud, client: Dropscribe, services: Services) -> None:
    job = client.submit(MEMO)
    deliver(services, job, cloud)
    for uri in job.wait().results.values():
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        cloud.storage.bucket(bucket).blob(name).delete()
    with pytest.raises(NoTranscript, match="deleted"):
        job.transcript()


@pytest.mark.parametrize("source", ["https://example.com/a.mp3", "s3://bucket/a.mp3"])
def test_addresses_that_are_not_fetched(client: Dropscribe, source: str) -> None:
    with pytest.raises(NotSubmitted, match=source):
        client.submit(source)


def test_what_is_an_upload_keeps_its_options(cloud: LoopbackCloud, client: Dropscribe) -> None:
    upload = cloud.drop(MEMO.read_bytes(), "memo.wav")
    assert client.submit(f"gs://{UPLOADS}/memo.wav").id == upload.job_id
    with pytest.raises(NotSubmitted, match="already"):
        client.submit(f"gs://{UPLOADS}/memo.wav", UploadOptions(method=Method.PARAKEET))


@pytest.mark.parametrize(
    "source", ["gs://nothing-here", f"gs://{UPLOADS}/missing.wav", "gs://A/b", "gs://uploads/a\nb#1"]
)
def test_addresses_that_lead_nowhere(client: Dropscribe, source: str) -> None:
    with pytest.raises(UnknownJob):
        client.submit(source)


def test_names_of_objects(cloud: LoopbackCloud, client: Dropscribe) -> None:
    client.submit(MEMO, name="calls/a b.wav")
    with pytest.raises(NotSubmitted, match="reserved"):
        client.submit(MEMO, name="..")
    assert [blob.name for blob in cloud.storage.list_blobs(UPLOADS)] == ["calls/a b.wav"]


def test_which_deployment_it_is(cloud: LoopbackCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = cloud.storage
    for name in ("GOOGLE_CLOUD_PROJECT", "UPLOADS_BUCKET", "STATE_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="Which deployment"):
        Dropscribe(storage=storage)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "a-project")
    assert Dropscribe(storage=storage).buckets == ("a-project-dropscribe-uploads", "a-project-dropscribe-state")
    monkeypatch.setenv("UPLOADS_BUCKET", "ours")
    assert Dropscribe(storage=storage).buckets == ("ours", "a-project-dropscribe-state")
    # What is given by hand is not mixed with what the environment says of another one.
    named = Dropscribe("b-project", name="second", storage=storage)
    assert named.buckets == ("b-project-second-uploads", "b-project-second-state")
    assert Dropscribe(uploads="u-bucket", state="s-bucket", storage=storage).buckets == ("u-bucket", "s-bucket")


def test_an_object_of_another_bucket_is_copied(cloud: LoopbackCloud, client: Dropscribe) -> None:
    cloud.storage.create_bucket("archive").blob("2024/memo.wav").upload_from_filename(str(MEMO))
    job = client.submit("gs://archive/2024/memo.wav", UploadOptions(method=Method.PARAKEET), name="old/memo.wav")
    blob = cloud.storage.bucket(UPLOADS).get_blob("old/memo.wav")
    assert blob.download_as_bytes() == MEMO.read_bytes()
    assert blob.metadata == {"transcribe-method": "parakeet"}
    assert client.job(f"gs://{UPLOADS}/old/memo.wav").id == job.id
