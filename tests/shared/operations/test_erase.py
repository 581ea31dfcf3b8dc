"""Erasure: nothing that names an upload, or was said in it, is left, wherever the erasing process was killed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.shard_plan import Shard
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError
from shared.media import Media, Upload
from shared.messages import Decision
from shared.operations.erase import LEASE_MARGIN, erase
from shared.operations.erase_unreadable import ErasureRefused
from shared.operations.erasure_records import Erased, ErasureReceipt, erasure_receipt, pending_erasures
from shared.operations.rerun import RerunRefused, RerunRequest, begin_rerun
from shared.options.model import UploadOptions
from shared.state.job_result import completed, failed
from shared.state.jobs.first_transcript import FirstTranscript
from shared.state.jobs.record import Job, JobState
from shared.state.ledger_entry import billed, erased_folder, month_of
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, Word
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import RESULTS, STATE, UPLOADS, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.reconciler.erasures import finish_erasures
from trigger_function.services import Services

FOLDER = "Onkologie"
NAME = f"{FOLDER}/Erika Mustermann.mp3"
SAID = "geheimnis"
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=9)
COST = Bill(items=(LineItem(kind=LineItemKind.GPU, resource="gpu", quantity=0.5, unit="usd", usd_per_unit=1),))


def transcript(upload: Upload) -> Transcript:
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=60,
        language="en",
        model="parakeet",
        passages=[Passage(Engine.PARAKEET_GPU, [Word(text=SAID, start=0.1, end=0.5)])],
    )


def claimed(services: Services, upload: Upload, **changes: object) -> Job:
    """A job that a worker has, or had."""
    job = services.jobs.claim(upload, "function", timedelta(minutes=10))
    assert job is not None
    decided = Decision(method=Method.PARAKEET, rule="small", reason="Small.")
    usual = {"state": JobState.RUNNING, "holder": "worker", "media": MEDIA, "decision": decided, "spent": COST}
    return services.jobs.save(job, **{**usual, "started_at": now(), "lease_until": now(), **changes})


def ended(services: Services, upload: Upload) -> None:
    services.state.blob(f"jobs/{upload.job_id}/parts/one.json").upload_from_string(SAID)
    services.finisher.finish(claimed(services, upload).record, completed(transcript(upload)))


def traces(cloud: LoopbackCloud) -> list[str]:
    """Objects that name the upload, or say what was said in it, in their names, their content or their metadata."""
    found = []
    for bucket in (UPLOADS, RESULTS, STATE):
        for blob in cloud.storage.list_blobs(bucket):
            text = f"{blob.name} {blob.metadata} {blob.download_as_bytes().decode(errors='replace')}"
            if any(secret in text for secret in (FOLDER, "Mustermann", SAID)):
                found.append(f"{bucket}/{blob.name}")
    return found


def erased(services: Services, upload: Upload) -> ErasureReceipt:
    return erase(services, services.settings, upload.job_id)


def test_nothing_is_left_of_a_job_that_has_ended(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    ended(services, upload)
    other = cloud.drop(b"other", "other/b.mp3")
    assert len(traces(cloud)) > 8
    results = len(cloud.names(RESULTS))
    receipt = erased(services, upload)
    assert traces(cloud) == []
    assert receipt.complete
    assert receipt.upload == Erased(objects=1, bytes=10)
    assert receipt.results.objects == results
    assert receipt.results.bytes > 0
    assert receipt.state.objects == 2  # its parts went when it ended
    assert receipt.ledger_lines == 1
    assert cloud.names(UPLOADS) == [other.name]
    assert erased(services, upload) == receipt == erasure_receipt(services.state, upload.job_id)
    assert list(pending_erasures(services.state, now())) == []
    # What was spent was spent.
    (entry,) = services.ledger.entries(month_of(now()))
    assert (entry.usd, entry.folder) == (0.5, erased_folder(FOLDER))
    assert len(cloud.terminal_messages()) == 1


def test_nothing_is_left_of_what_was_said_before_redaction(cloud: LoopbackCloud, make_services: MakeServices) -> None:
    cloud.storage.create_bucket("unredacted")
    services = make_services(UNREDACTED_BUCKET="unredacted")
    upload, other = (cloud.drop(b"some bytes", name) for name in (NAME, "other/b.mp3"))
    for one in (upload, other):
        result = replace(completed(transcript(one)), unredacted=transcript(one))
        services.finisher.finish(claimed(services, one).record, result)
    assert len(cloud.names("unredacted")) == 2
    receipt = erased(services, upload)
    assert receipt.complete
    (left,) = cloud.names("unredacted")
    assert left.startswith(other.name)


def test_an_erased_upload_ends_without_the_transcript_that_an_engine_before_made(
    cloud: LoopbackCloud, services: Services
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    options = UploadOptions(min_coverage=0.98)
    job = claimed(services, upload, has_first_transcript=True, deepgram_calls=1, options=options)
    services.jobs.keep_first_transcript(job.record, FirstTranscript(transcript=transcript(upload)))
    erased(services, upload)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.REJECTED]
    assert traces(cloud) == []


def test_nobody_takes_up_what_was_erased(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    job = claimed(services, upload)
    erased(services, upload)
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.reason) == (Outcome.REJECTED, "The upload was erased on request.")
    handle(services, upload)  # a late event
    assert services.jobs.is_known(upload)  # the sweep
    assert services.jobs.load(upload.job_id) is None  # a work item, a heartbeat
    assert services.jobs.try_save(job, attempts=2) is None
    with pytest.raises(RerunRefused, match="no such job"):
        begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest())
    assert list(services.jobs.markers.all()) == []
    assert cloud.terminal_messages() == []
    assert traces(cloud) == []


def test_what_a_worker_stores_behind_the_erasure_goes_when_its_claim_has_run_out(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    job = claimed(services, upload, lease_until=now() + timedelta(minutes=2))
    receipt = erased(services, upload)
    assert (receipt.complete, receipt.completed_at) == (False, None)
    assert receipt.again_after == job.record.lease_until + LEASE_MARGIN
    # It had looked for an outcome before.
    outcome = services.finisher.finish(job.record, completed(transcript(upload)), may_have_ended=False)
    assert outcome.outcome is Outcome.REJECTED
    assert traces(cloud)
    assert finish_erasures(services, 60) == 0
    monkeypatch.setattr("shared.operations.erase.now", lambda: receipt.again_after + timedelta(seconds=1))
    monkeypatch.setattr("trigger_function.reconciler.erasures.now", lambda: receipt.again_after)
    assert finish_erasures(services, 60) == 1
    assert traces(cloud) == []
    assert erased(services, upload).complete
    assert len(cloud.terminal_messages()) == 1


def test_what_its_finisher_still_writes_behind_the_erasure_goes(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    job = claimed(services, upload)
    outcome = services.finisher.finish(job.record, completed(transcript(upload)))
    services.jobs.markers.create(upload, now())  # it is not through yet
    receipt = erased(services, upload)
    assert (receipt.complete, receipt.completed_at) == (False, None)
    services.ledger.book(billed(outcome))
    assert traces(cloud)
    later = receipt.again_after
    assert later is not None
    monkeypatch.setattr("shared.operations.erase.now", lambda: later)
    monkeypatch.setattr("trigger_function.reconciler.erasures.now", lambda: later)
    assert finish_erasures(services, 60) == 1
    assert traces(cloud) == []


def test_an_upload_whose_event_has_not_arrived_is_erased(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    with pytest.raises(ErasureRefused):
        erased(services, upload)
    # The claim that it opened the job with runs out first: the function may have it.
    assert erase(services, services.settings, upload.job_id, upload).upload == Erased(objects=1, bytes=10)
    handle(services, upload)
    assert [message.outcome for message in cloud.terminal_messages()] == [Outcome.REJECTED]
    objects.delete(services.state, f"erasures/pending/{upload.job_id}.json")
    assert traces(cloud) == []


def test_an_upload_is_erased_whose_record_is_gone(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    ended(services, upload)
    for name in cloud.names(STATE, "jobs/"):  # by the bucket's lifecycle
        objects.delete(services.state, name)
    cloud.terminal_messages()
    monkeypatch.setattr("shared.operations.erase.now", lambda: now() + timedelta(days=20))
    receipt = erase(services, services.settings, upload.job_id, upload)
    assert (receipt.complete, receipt.ledger_lines, receipt.upload.objects) == (True, 1, 1)
    assert traces(cloud) == []
    assert cloud.terminal_messages() == []


@pytest.mark.parametrize("damaged", ["record", "outcome"])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.9])
def test_a_job_is_erased_of_which_something_cannot_be_read(
    cloud: LoopbackCloud, services: Services, damaged: str, left: float
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    ended(services, upload)
    (message,) = cloud.terminal_messages()
    blob = services.state.blob(f"jobs/{upload.job_id}/{damaged}.json")
    data = blob.download_as_bytes()
    blob.upload_from_string(data[: int(len(data) * left)])
    if damaged == "record" and not left:
        with pytest.raises(ErasureRefused, match="cannot be read: name its upload"):
            erased(services, upload)
    receipt = erase(services, services.settings, upload.job_id, upload)
    assert (receipt.upload.objects, receipt.ledger_lines) == (1, 1)
    assert traces(cloud) == []
    # It was published before, and what was spent was spent.
    assert cloud.terminal_messages() == []
    (line,) = services.ledger.entries(month_of(message.received_at))
    assert line.usd == COST.usd
    kept = services.jobs.outcome(upload.job_id)
    assert kept is not None
    assert (kept.outcome, kept.bill) == (message.outcome, COST)


def test_a_worker_may_have_a_job_whose_record_cannot_be_read(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    claimed(services, upload, lease_until=now() + timedelta(minutes=5))
    services.state.blob(f"jobs/{upload.job_id}/record.json").upload_from_string("")
    assert not erase(services, services.settings, upload.job_id, upload).complete
    services.state.blob(f"jobs/{upload.job_id}/parts/late.json").upload_from_string(SAID)
    monkeypatch.setattr("shared.operations.erase.now", lambda: now() + timedelta(hours=2))
    assert erased(services, upload).complete
    assert traces(cloud) == []


@pytest.mark.parametrize("damaged", ["jobs/{job}/record.json", "jobs/{job}/shards/0/record.json"])
@pytest.mark.parametrize("left", [0.5, 0.9])
def test_a_job_in_shards_is_erased_of_which_a_record_cannot_be_read(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch, damaged: str, left: float
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    shards = (Shard(0, 0, 30), Shard(1, 30, None))
    whole = claimed(services, upload, shards=shards, state=JobState.QUEUED, spent=Bill())
    until = now() + timedelta(minutes=5)
    services.jobs.open_shard(whole.record, shards[0], state=JobState.RUNNING, lease_until=until, spent=Bill())
    services.jobs.open_shard(whole.record, shards[1], state=JobState.DONE, spent=COST)
    blob = services.state.blob(damaged.format(job=upload.job_id))
    data = blob.download_as_bytes()
    blob.upload_from_string(data[: int(len(data) * left)])
    receipt = erase(services, services.settings, upload.job_id, upload)
    assert not receipt.complete  # a worker may have a shard of it
    services.state.blob(f"jobs/{upload.job_id}/parts/0/late.json").upload_from_string(SAID)
    monkeypatch.setattr("shared.operations.erase.now", lambda: now() + timedelta(hours=2))
    assert erased(services, upload).complete
    assert traces(cloud) == []
    (message,) = cloud.terminal_messages()
    assert (message.outcome, message.bill) == (Outcome.REJECTED, COST)


def test_an_erasure_whose_note_is_damaged_is_begun_anew(cloud: LoopbackCloud, services: Services) -> None:
    upload, other = (cloud.drop(b"some bytes", name) for name in (NAME, f"{FOLDER}/b.mp3"))
    for one, note in ((upload, b""), (other, b'{"schema_version": 2}')):
        ended(services, one)
        services.state.blob(f"erasures/pending/{one.job_id}.json").upload_from_string(note)
    assert finish_erasures(services, 60) == 1
    assert cloud.names(UPLOADS) == [other.name]
    assert cloud.names(STATE, "erasures/pending/") == [f"erasures/pending/{other.job_id}.json"]


@pytest.mark.parametrize("is_named", [True, False])
def test_an_erasure_whose_note_is_damaged_goes_on_where_the_record_names_nothing_any_more(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    ended(services, upload)
    with monkeypatch.context() as broken:
        broken.setattr("shared.operations.erase._delete_all", lambda *_, **__: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            erased(services, upload)
    assert traces(cloud) != []
    note = services.state.blob(f"erasures/pending/{upload.job_id}.json")
    data = note.download_as_bytes()
    note.upload_from_string(data[: int(len(data) * 0.9)] if is_named else b"")
    assert finish_erasures(services, 60) == (1 if is_named else 0)
    receipt = erase(services, services.settings, upload.job_id, upload)
    assert receipt.complete
    assert traces(cloud) == []
    assert cloud.names(STATE, "erasures/pending/") == []


def test_what_a_newer_release_wrote_is_not_erased_by_an_older_one(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    ended(services, upload)
    services.state.blob(f"jobs/{upload.job_id}/record.json").upload_from_string(b'{"schema_version": 2}')
    with pytest.raises(ErasureRefused, match="A newer release wrote"):
        erase(services, services.settings, upload.job_id, upload)
    assert cloud.names(UPLOADS) == [NAME]


def test_every_run_and_every_shard_is_erased(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"some bytes", NAME)
    first = claimed(services, upload)
    services.finisher.finish(first.record, failed(DropscribeError("Mustermann cannot be read.")))
    begun = begin_rerun(services.storage, services.jobs, upload.job_id, RerunRequest())
    shards = (Shard(0, 0, 30), Shard(1, 30, None))
    divided = services.jobs.save(begun, media=MEDIA, shards=shards, state=JobState.QUEUED, lease_until=now())
    services.jobs.open_shard(divided.record, shards[0], state=JobState.RUNNING)
    services.state.blob(f"jobs/{upload.job_id}/parts/2.0/one.json").upload_from_string(SAID)
    receipt = erased(services, upload)
    assert (receipt.complete, receipt.ledger_lines) == (True, 2)
    assert traces(cloud) == []
    assert [message.run for message in cloud.terminal_messages()] == [1, 2]


def test_another_file_of_the_same_name_is_another_upload(cloud: LoopbackCloud, services: Services) -> None:
    first = cloud.drop(b"first", NAME)
    ended(services, first)
    second = cloud.drop(b"second", NAME)
    receipt = erased(services, first)
    assert receipt.upload == Erased()  # it was replaced
    assert cloud.storage.bucket(UPLOADS).blob(NAME).download_as_bytes() == b"second"
    erased_second = erase(services, services.settings, second.job_id, second)
    assert erased_second.upload == Erased(objects=1, bytes=6)


def test_an_erasure_that_is_killed_before_any_effect_is_finished_by_the_reconciler(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for effect in count(1):
        upload = cloud.drop(b"some bytes", NAME)
        with monkeypatch.context() as patched:
            # Deletions come one by one, and so always in the same order.
            patched.setattr("shared.operations.erase.THREADS", 1)
            claimed(services, upload)
            with killed_at(effect, monkeypatch=patched) as kill:
                erased(services, upload)
        if kill.happened and effect == 1:
            assert erasure_receipt(services.state, upload.job_id) is None
            erased(services, upload)  # nothing was begun: whoever asked asks again
        finish_erasures(services, 60)
        assert traces(cloud) == []
        receipt = erasure_receipt(services.state, upload.job_id)
        assert receipt is not None
        assert receipt.complete
        assert receipt.upload == Erased(objects=1, bytes=10)
        assert receipt.ledger_lines == 1
        assert list(services.jobs.markers.all()) == []
        assert {message.outcome for message in cloud.terminal_messages()} == {Outcome.REJECTED}
        if not kill.happened:
            break
    assert effect > 8
