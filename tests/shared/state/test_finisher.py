"""Ending a job: one outcome, one message, one transcript behind every file, however often it is ended."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pysubs2
import pytest
from google.api_core.exceptions import Forbidden, NotFound
from google.cloud.storage import Blob

from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.enums import Engine, Method, Outcome
from shared.errors import BadMedia, DropscribeError, FailureKind, Rejected
from shared.media import Media, Upload
from shared.messages import MAX_MESSAGE_GAPS, Decision, Receipt, TerminalMessage
from shared.object_names import MAX_OBJECT_NAME_BYTES
from shared.options.model import UploadOptions
from shared.options.subtitle_rules import SubtitleOptions
from shared.state.job_result import JobResult, completed, exhausted, failed, rejected
from shared.state.jobs.record import JobRecord
from shared.state.ledger_entry import EntryState, month_of
from shared.transcript.compose import compose
from shared.transcript.model import Coverage, Gap, Passage, Transcript, Word
from shared.transcript.render import render
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import PROJECT, RESULTS, RESULTS_TOPIC, STATE, LoopbackCloud
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=7)
MAX_MESSAGE_BYTES = 1_000_000
FILES = {
    "transcript.json",
    "deepgram.json",
    "words.csv",
    "paragraphs.csv",
    "transcript.srt",
    "transcript.vtt",
    "transcript.txt",
    "transcript.html",
    "receipt.json",
}


def opened(services: Services, upload: Upload = UPLOAD, **changes: Any) -> JobRecord:
    job = services.jobs.claim(upload, "me", timedelta(minutes=10))
    assert job is not None
    media = Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=9)
    decision = Decision(method=Method.PARAKEET, rule="small", reason="Small.")
    return services.jobs.save(job, **{"media": media, "decision": decision, **changes}).record


def transcript_of(text: str, *, upload: Upload = UPLOAD, gaps: tuple[Gap, ...] = ()) -> Transcript:
    words = [Word(text=one, start=index, end=index + 0.5) for index, one in enumerate(text.split())]
    coverage = Coverage(speech_seconds=50, covered_seconds=40 if gaps else 50, gaps=gaps)
    passages = [Passage(Engine.PARAKEET_GPU, words)]
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=120,
        language="en",
        model="parakeet",
        passages=passages,
        coverage=coverage,
    )


def bill(usd: float) -> Bill:
    return Bill(items=(LineItem(kind=LineItemKind.GPU, resource="gpu", quantity=usd, unit="usd", usd_per_unit=1),))


def stored(cloud: LoopbackCloud, message: TerminalMessage, name: str) -> bytes:
    key = message.results[name].removeprefix(f"gs://{RESULTS}/")
    return bytes(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())


def test_a_transcript_is_stored_and_published_and_the_job_closed(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services, spent=bill(0.001))
    cost = record.spent + bill(0.002)
    message = services.finisher.finish(record, completed(transcript_of("one two three")), cost, "execution-1")
    assert cloud.terminal_messages() == [message]
    assert (message.outcome, message.reason, message.word_count) == (Outcome.COMPLETED, None, 3)
    assert (message.engines, message.model) == ((Engine.PARAKEET_GPU,), "parakeet")
    assert set(message.results) == FILES
    assert set(message.results.values()) == {
        f"gs://{RESULTS}/{name}" for name in cloud.names(RESULTS, "calls/a.mp3/7/")
    }
    # What an earlier attempt cost is on the bill too; two minutes of nova-3 are $0.0086.
    assert message.bill.usd == pytest.approx(0.003)
    assert message.saving is not None
    assert (message.saving.deepgram_usd, message.saving.usd) == pytest.approx((0.0086, 0.0056))
    assert list(services.jobs.markers.all()) == []
    receipt = Receipt.model_validate_json(stored(cloud, message, "receipt.json"))
    assert (receipt.bill, receipt.saving, receipt.execution) == (message.bill, message.saving, "execution-1")
    assert receipt.duration_seconds == 120


def test_subtitles_are_as_the_settings_and_the_uploads_options_want_them(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(SUBTITLE_LINE_COLUMNS="9", SUBTITLE_LINES="1")
    record = opened(services, options=UploadOptions(subtitles=SubtitleOptions(lines=3)))
    message = services.finisher.finish(record, completed(transcript_of("one two three four")), bill(1))
    (cue,) = pysubs2.SSAFile.from_string(stored(cloud, message, "transcript.srt").decode())
    assert cue.text.split(r"\N") == ["one two", "three", "four"]


def test_finishing_twice_publishes_once_and_the_first_result_stands(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services)
    first = services.finisher.finish(record, completed(transcript_of("one two")), bill(1))
    again = services.finisher.finish(record, failed(DropscribeError("Late.")), bill(2))
    assert again == first
    assert cloud.terminal_messages() == [first]


def test_an_upload_is_not_given_up_whose_transcript_is_stored(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = opened(services, started_at=now())
    with killed_at(2, monkeypatch=monkeypatch):
        services.finisher.finish(record, completed(transcript_of("one two")), bill(1))
    message = services.finisher.finish(record, failed(DropscribeError("Its workers were killed.")), bill(2))
    assert (message.outcome, message.word_count, message.reason) == (Outcome.COMPLETED, 2, None)
    assert cloud.terminal_messages() == [message]
    assert message.bill == bill(2)


def test_a_transcript_as_it_was_before_redaction_is_not_lost_where_its_bucket_fails_for_a_while(
    cloud: LoopbackCloud, make_services: MakeServices
) -> None:
    services = make_services(UNREDACTED_BUCKET="unredacted")
    record = opened(services, started_at=now())
    result = replace(completed(transcript_of("one [NAME]")), unredacted=transcript_of("one two"))
    with pytest.raises(NotFound):
        services.finisher.finish(record, result, bill(1))
    assert services.finisher.stored_result(record) is None  # which would end the job without the other one
    cloud.storage.create_bucket("unredacted")
    message = services.finisher.finish(record, result, bill(1))
    (name,) = cloud.names("unredacted")
    kept = Transcript.model_validate_json(cloud.storage.bucket("unredacted").blob(name).download_as_bytes())
    assert kept.text == "one two"
    assert Transcript.model_validate_json(stored(cloud, message, "transcript.json")).text == "one [NAME]"


@pytest.mark.parametrize("permission", ["storage.objects.delete", "storage.objects.create"])
def test_who_may_only_create_objects_finds_the_transcript_before_redaction_there(
    cloud: LoopbackCloud, make_services: MakeServices, permission: str
) -> None:
    """As after a kill behind its write, or where the answer to that was lost."""
    services = make_services(UNREDACTED_BUCKET="unredacted")
    cloud.storage.create_bucket("unredacted")
    says = f"dropscribe-job does not have {permission} access to the Google Cloud Storage object."
    cloud.storage_server.fail_next(1, 403, method="POST", name_prefix=f"{UPLOAD.name}/", before=False, message=says)
    record = opened(services, started_at=now())
    result = replace(completed(transcript_of("one [NAME]")), unredacted=transcript_of("one two"))
    if permission == "storage.objects.create":
        with pytest.raises(Forbidden):
            services.finisher.finish(record, result, bill(1))
        return
    assert services.finisher.finish(record, result, bill(1)).outcome is Outcome.COMPLETED
    assert len(cloud.names("unredacted")) == 1


def test_finishers_at_once_publish_one_outcome(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services)
    with ThreadPoolExecutor(4) as pool:
        texts = ["one", "one two", "one two three", "one two three four"]
        results = [completed(transcript_of(text)) for text in texts]
        published = list(pool.map(lambda result: services.finisher.finish(record, result, bill(1)), results))
    assert all(one == published[0] for one in published)
    messages = cloud.terminal_messages()
    assert messages
    # Two may publish between the decision and the closing; listeners know the message by its event_id.
    assert all(message == published[0] for message in messages)
    transcript = Transcript.model_validate_json(stored(cloud, published[0], "transcript.json"))
    assert published[0].word_count == len(transcript.words)


def test_every_file_comes_from_the_transcript_that_was_stored_first(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services)
    gaps = (Gap(start=10, end=12.5, reason="Nothing was heard."),)
    first, *_ = render(transcript_of("the first", gaps=gaps))
    # As after a kill just behind the first write.
    objects.create_once(cloud.storage.bucket(RESULTS), f"{UPLOAD.name}/{UPLOAD.generation}/{first.name}", first.data)
    message = services.finisher.finish(record, completed(transcript_of("the second and longer")), bill(1))
    expected = {file.name: file.data for file in render(transcript_of("the first", gaps=gaps))}
    assert {name: stored(cloud, message, name) for name in expected} == expected
    assert (message.word_count, message.outcome) == (2, Outcome.COMPLETED_WITH_GAPS)
    assert message.coverage is not None
    assert message.coverage.gaps == gaps
    receipt = Receipt.model_validate_json(stored(cloud, message, "receipt.json"))
    assert receipt.outcome is message.outcome


def test_a_transcript_with_gaps_says_so(cloud: LoopbackCloud, services: Services) -> None:
    gaps = (Gap(start=1, end=3, reason="Noise."), Gap(start=10, end=10.5, reason="Noise."))
    message = services.finisher.finish(opened(services), completed(transcript_of("one", gaps=gaps)), bill(1))
    assert message.outcome is Outcome.COMPLETED_WITH_GAPS
    assert message.reason == "No words for 2 stretches, 2.5 s in all; coverage.gaps of transcript.json lists them."
    assert message.coverage is not None
    assert message.coverage.gaps == gaps


def test_a_message_about_10_000_gaps_with_long_reasons_stays_small_and_the_files_have_them_all(
    cloud: LoopbackCloud, services: Services
) -> None:
    starts = [index / 1000 for index in range(10_000)]
    gaps = tuple(Gap(start=start, end=start + 0.0005, reason="No words near speech. " * 5) for start in starts)
    message = services.finisher.finish(opened(services), completed(transcript_of("one", gaps=gaps)), bill(1))
    assert len(message.model_dump_json().encode()) < MAX_MESSAGE_BYTES
    assert cloud.terminal_messages() == [message]
    assert message.coverage is not None
    assert (len(message.coverage.gaps), message.coverage.gap_count) == (MAX_MESSAGE_GAPS, 10_000)
    assert message.coverage.gap_seconds == pytest.approx(5)
    assert message.reason == "No words for 10000 stretches, 5.0 s in all; coverage.gaps of transcript.json lists them."
    for name in ("transcript.json", "receipt.json"):
        assert len(json.loads(stored(cloud, message, name))["coverage"]["gaps"]) == 10_000


@pytest.mark.parametrize(
    ("result", "cost", "outcome", "kind"),
    [
        (rejected(BadMedia("No sound.")), bill(0), Outcome.REJECTED, FailureKind.BAD_MEDIA),
        (rejected(Rejected("No sound.")), bill(0.5), Outcome.REJECTED, FailureKind.REFUSED),
        (failed(DropscribeError("No sound.", FailureKind.QUOTA)), bill(0), Outcome.FAILED, FailureKind.QUOTA),
        (failed(DropscribeError("No sound.")), bill(0.5), Outcome.FAILED, FailureKind.INTERNAL),
    ],
)
def test_a_result_without_transcript_has_a_reason_a_receipt_and_no_saving(
    cloud: LoopbackCloud, services: Services, result: JobResult, cost: Bill, outcome: Outcome, kind: FailureKind
) -> None:
    message = services.finisher.finish(opened(services), result, cost)
    assert (message.outcome, message.reason, message.failure_kind) == (outcome, "No sound.", kind)
    assert (message.saving, message.word_count, message.engines) == (None, 0, ())
    assert list(message.results) == ["receipt.json"]
    assert json.loads(stored(cloud, message, "receipt.json"))["duration_seconds"] == 60
    assert message.bill == cost


def test_a_bill_that_is_not_given_is_what_the_attempts_cost_by_the_record(services: Services) -> None:
    record = opened(services, spent=bill(0.25))
    assert services.finisher.finish(record, failed(DropscribeError("Given up."))).bill == bill(0.25)


def test_a_message_that_was_not_accepted_is_the_reconcilers(cloud: LoopbackCloud, services: Services) -> None:
    topic = cloud.publisher.topic_path(PROJECT, RESULTS_TOPIC)
    cloud.publisher.delete_topic(topic=topic)
    with pytest.raises(NotFound):
        services.finisher.finish(opened(services, lease_until=now()), completed(transcript_of("one")), bill(1))
    assert services.jobs.markers.is_open(UPLOAD.job_id)
    decided = services.jobs.outcome(UPLOAD.job_id)
    assert decided is not None
    cloud.publisher.create_topic(name=topic)
    cloud.subscriber.delete_subscription(subscription=cloud.subscription(RESULTS_TOPIC))
    cloud.subscriber.create_subscription(name=cloud.subscription(RESULTS_TOPIC), topic=topic)
    assert reconcile_all(services) == {"published": 1}
    assert cloud.terminal_messages() == [decided]
    assert not services.jobs.markers.is_open(UPLOAD.job_id)


def test_a_finisher_killed_before_any_effect_leaves_one_outcome_whose_files_message_and_bill_agree(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = (Gap(start=1, end=3, reason="Noise."),)
    for effect in count(1):
        upload = UPLOAD.model_copy(update={"generation": effect})
        record = opened(services, upload, lease_until=now())
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            services.finisher.finish(record, completed(transcript_of("one", upload=upload, gaps=gaps)), bill(1))
        if kill.happened and services.jobs.outcome(upload.job_id) is None:
            # The next attempt knows other words, and its bill is another one.
            services.finisher.finish(record, completed(transcript_of("one two", upload=upload)), bill(2))
        reconcile_all(services)
        outcome = services.jobs.outcome(upload.job_id)
        assert outcome is not None
        assert {one.event_id for one in cloud.terminal_messages()} == {outcome.event_id}
        assert not services.jobs.markers.is_open(upload.job_id)
        receipt = Receipt.model_validate_json(stored(cloud, outcome, "receipt.json"))
        assert (receipt.bill, receipt.outcome) == (outcome.bill, outcome.outcome)
        transcript = Transcript.model_validate_json(stored(cloud, outcome, "transcript.json"))
        assert receipt.coverage == transcript.coverage
        assert (outcome.word_count, outcome.outcome) == (
            (1, Outcome.COMPLETED_WITH_GAPS) if transcript.coverage.gaps else (2, Outcome.COMPLETED)
        )
        (entry,) = [one for one in services.ledger.entries(month_of(now())) if one.id == upload.job_id]
        assert (entry.state, entry.usd) == (EntryState.BILLED, outcome.bill.usd)
        if not kill.happened:
            break
    # Eight files and a receipt, the outcome, the message, and the ledger's entry in the marker's place.
    assert effect == len(FILES) + 3 + 1


def test_the_ledgers_entry_takes_the_markers_place_and_names_nobody(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services)
    before = cloud.names(STATE, "open/")
    with cloud.storage_server.counted() as calls:
        services.finisher.finish(record, completed(transcript_of("one")), bill(1))
    assert [call.method for call in calls if call.name in before] == []
    assert cloud.names(STATE, "open/") == []
    (name,) = cloud.names(STATE, "ledger/")
    assert services.state.blob(name).download_as_bytes() == b"{}"


def test_a_marker_that_outlives_its_call_is_published_once_more(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = Blob.compose
    monkeypatch.setattr(Blob, "compose", lambda blob, sources, **_: composed(blob, sources))
    services.finisher.finish(opened(services, lease_until=now()), completed(transcript_of("one")), bill(1))
    assert services.jobs.markers.is_open(UPLOAD.job_id)
    assert reconcile_all(services) == {"published": 1}
    assert reconcile_all(services) == {}


@pytest.mark.parametrize("is_answered", [True, False])
def test_the_entry_is_written_where_no_marker_is_found(
    cloud: LoopbackCloud, services: Services, is_answered: bool
) -> None:
    record = opened(services)
    if is_answered:
        services.jobs.markers.close(UPLOAD.job_id)
    else:
        cloud.storage_server.fail_next(1, method="POST", name_prefix="ledger/", before=False)
    outcome = services.finisher.finish(record, completed(transcript_of("one")), bill(1))
    (entry,) = services.ledger.entries(month_of(now()))
    assert (entry.state, entry.usd) == (EntryState.BILLED, outcome.bill.usd)
    assert not services.jobs.markers.is_open(UPLOAD.job_id)


def test_an_outcome_whose_write_was_answered_late_is_published_once(cloud: LoopbackCloud, services: Services) -> None:
    record = opened(services)
    name = f"jobs/{UPLOAD.job_id}/outcome"
    cloud.storage_server.fail_next(1, method="POST", name_prefix=name, before=False)
    message = services.finisher.finish(record, completed(transcript_of("one")), bill(1))
    assert cloud.terminal_messages() == [message]


@pytest.mark.parametrize(("letters", "shortened"), [(997, False), (998, True), (1024, True)])
def test_names_too_long_for_a_result_are_shortened(
    cloud: LoopbackCloud, services: Services, letters: int, shortened: bool
) -> None:
    # "/7/" and the room kept for the longest file name take 27 more bytes.
    upload = UPLOAD.model_copy(update={"name": "n" * letters})
    message = services.finisher.finish(
        opened(services, upload), completed(transcript_of("one", upload=upload)), bill(1)
    )
    names = cloud.names(RESULTS)
    assert len(names) == len(FILES)
    assert max(len(name.encode()) for name in names) <= MAX_OBJECT_NAME_BYTES
    assert (f"long-names/{upload.job_id}/transcript.html" in names) == shortened
    assert {uri.removeprefix(f"gs://{RESULTS}/") for uri in message.results.values()} == set(names)


@pytest.mark.parametrize("prefix", ["done", "/done/", "done/"])
def test_results_may_have_a_folder(cloud: LoopbackCloud, make_services: MakeServices, prefix: str) -> None:
    services = make_services(RESULTS_PREFIX=prefix)
    services.finisher.finish(opened(services), completed(transcript_of("one")), bill(1))
    assert set(cloud.names(RESULTS)) == {f"done/calls/a.mp3/7/{name}" for name in FILES}


def test_waiting_and_work_are_measured_from_the_event_and_the_start(services: Services) -> None:
    record = opened(services)
    record = record.model_copy(update={"received_at": record.received_at - timedelta(seconds=100)})
    started = record.model_copy(update={"started_at": record.received_at + timedelta(seconds=30)})
    message = services.finisher.finish(started, completed(transcript_of("one")), bill(1))
    assert message.wait_seconds == pytest.approx(30)
    assert message.work_seconds >= 70


def test_giving_up_repeats_the_last_error(services: Services) -> None:
    record = opened(services, attempts=3)
    assert exhausted(record) == "The worker ended 3 times while it worked on the file."
    again = record.model_copy(update={"last_error": "Out of memory."})
    assert exhausted(again).endswith("The last time: Out of memory.")
