"""Re-runs: what is run again and with what, and that a kill leaves the old end or a run that the reconciler ends."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import ValidationError

from dropscribe.job import Job
from infra.recordings import recording
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind, deepgram_bill
from shared.costs.prices import price_book
from shared.enums import Channels, Engine, Method, Outcome, Privacy
from shared.errors import DropscribeError, StateConflict
from shared.keyterms.terms import parse_keyterms
from shared.languages.choice import LanguageChoice
from shared.media import Media, Upload
from shared.messages import Decision, Receipt, TerminalMessage, event_id
from shared.operations.ended_jobs import standing_of
from shared.operations.job_status import read_status
from shared.operations.rerun import (
    RerunRefused,
    RerunRequest,
    begin_rerun,
    parts_run_with,
    plan_rerun,
    planned_rerun,
    requested_model,
)
from shared.options.model import UploadOptions
from shared.state.job_result import completed, failed, rejected
from shared.state.jobs.object_names import record_name
from shared.state.jobs.open_markers import OpenMarker
from shared.state.jobs.progress import read_progress
from shared.state.jobs.record import JobRecord, JobState, RequestedModel
from shared.state.ledger_entry import EntryState, month_of
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Word
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import RESULTS, STATE, LoopbackCloud
from trigger_function.handle_upload import handle
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.services import Services

AUDIO = recording("memo.wav").path.read_bytes()
UPLOAD = Upload(bucket="uploads", name="calls/a.mp3", generation=7)
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=60, sample_rate_hz=16000, channels=1, size_bytes=9)
NOVA = RequestedModel(method=Method.DEEPGRAM, deepgram_model="nova-3")
PARAKEET = RequestedModel(method=Method.PARAKEET)
MODELS = ("nova-3", "nova-2")


def bill(usd: float, resource: str = "gpu") -> Bill:
    kind = LineItemKind.DEEPGRAM if resource.startswith("deepgram") else LineItemKind.GPU
    return Bill(items=(LineItem(kind=kind, resource=resource, quantity=usd, unit="usd", usd_per_unit=1),))


def decision(method: Method) -> Decision:
    return Decision(method=method, rule="small", reason="Small.")


def record(**changes: Any) -> JobRecord:
    usual = {
        "upload": UPLOAD,
        "state": JobState.RUNNING,
        "holder": "transcribe-x7/0",
        "lease_until": now(),
        "received_at": now() - timedelta(days=3),
        "attempts": 3,
        "media": MEDIA,
        "decision": decision(Method.PARAKEET),
    }
    return JobRecord(**{**usual, **changes})


def outcome_of(one: JobRecord, outcome: Outcome, cost: Bill, method: Method = Method.PARAKEET) -> TerminalMessage:
    return TerminalMessage(
        event_id=event_id(one.upload.job_id, one.run),
        job_id=one.upload.job_id,
        run=one.run,
        upload=one.upload,
        outcome=outcome,
        decision=decision(method),
        bill=cost,
        received_at=one.received_at,
        finished_at=now(),
    )


def ended(services: Services, upload: Upload, outcome: Outcome, usd: float = 0.5) -> TerminalMessage:
    """The first run of a job ends so."""
    job = services.jobs.claim(upload, "me", timedelta(minutes=10))
    assert job is not None
    return end(services, job.record.model_copy(update={"media": MEDIA, "started_at": now()}), outcome, usd)


def end(
    services: Services, one: JobRecord, outcome: Outcome, usd: float = 0.5, text: str = "one two"
) -> TerminalMessage:
    words = [Word(text=each, start=index, end=index + 0.5) for index, each in enumerate(text.split())]
    transcript = compose(
        job_id=one.upload.job_id,
        source=one.upload.uri,
        duration=60,
        language="en",
        model="parakeet",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
    )
    result = {
        Outcome.COMPLETED: completed(transcript),
        Outcome.FAILED: failed(DropscribeError("Broken.")),
        Outcome.REJECTED: rejected(DropscribeError("No audio.")),
    }[outcome]
    return services.finisher.finish(one, result, bill(usd))


def record_of(services: Services, upload: Upload) -> JobRecord:
    job = services.jobs.load(upload.job_id)
    assert job is not None
    return job.record


def begin(services: Services, upload: Upload, request: RerunRequest = RerunRequest()) -> JobRecord:  # noqa: B008
    return begin_rerun(services.storage, services.jobs, upload.job_id, request).record


def test_a_rerun_begins_anew_with_what_the_failed_run_had_stored() -> None:
    before = record(lost_attempts=2, faults=4, deepgram_calls=1, spent=bill(1), earlier_usd=2.0, run=3, parts_run=2)
    at = now()
    after = plan_rerun(before, outcome_of(before, Outcome.FAILED, bill(1)), RerunRequest(), at)
    assert after == JobRecord(
        upload=UPLOAD,
        run=4,
        earlier_usd=3.0,
        parts_run=2,
        parts_options=UploadOptions(),
        state=JobState.CLAIMED,
        holder="rerun",
        lease_until=at,
        received_at=at,
        lost_attempts=1,
    )
    assert after.may_have_parts


@pytest.mark.parametrize(
    ("outcome", "model", "why"),
    [
        (None, None, "The job has not ended yet: run 1 is running."),
        (Outcome.COMPLETED, None, "The job is completed: name another model, or force it."),
        (Outcome.COMPLETED, PARAKEET, "The job is completed by parakeet already: name another model, or force it."),
    ],
)
def test_what_is_refused(outcome: Outcome | None, model: RequestedModel | None, why: str) -> None:
    before = record()
    message = None if outcome is None else outcome_of(before, outcome, bill(1))
    with pytest.raises(RerunRefused) as refused:
        plan_rerun(before, message, RerunRequest(model), now())
    assert refused.value.reason == why
    if message is not None:
        assert plan_rerun(before, message, RerunRequest(model, force=True), now()).run == 2


@pytest.mark.parametrize("model", [PARAKEET, NOVA], ids=["parakeet", "deepgram"])
@pytest.mark.parametrize(
    ("method", "resource"),
    [
        (Method.PARAKEET, "deepgram nova-3"),  # a second opinion, missing words, or chunks that it took over
        (Method.HYBRID, "deepgram nova-3"),
    ],
)
def test_what_two_engines_worked_on_is_run_again_with_either_of_them(
    method: Method, resource: str, model: RequestedModel
) -> None:
    before = record(decision=decision(method), options=UploadOptions(second_opinion_usd=0.01))
    after = plan_rerun(
        before, outcome_of(before, Outcome.COMPLETED, bill(1, resource), method), RerunRequest(model), now()
    )
    assert after.requested == model
    assert model.of(before.options) == UploadOptions(method=model.method)


def test_a_private_upload_is_not_sent_to_an_api() -> None:
    before = record(options=UploadOptions(privacy=Privacy.LOCAL))
    message = outcome_of(before, Outcome.FAILED, bill(1))
    with pytest.raises(RerunRefused, match="may not leave"):
        plan_rerun(before, message, RerunRequest(NOVA, force=True), now())
    assert plan_rerun(before, message, RerunRequest(PARAKEET), now()).requested == PARAKEET


@pytest.mark.parametrize(
    ("method", "resource", "model", "is_kept"),
    [
        (Method.PARAKEET, "gpu", None, True),
        (Method.PARAKEET, "gpu", PARAKEET, True),
        (Method.PARAKEET, "gpu", NOVA, False),
        (Method.PARAKEET, "deepgram nova-3", PARAKEET, False),
        (Method.DEEPGRAM, "deepgram nova-3 (possibly billed)", NOVA, True),
        (Method.DEEPGRAM, "deepgram nova-2", NOVA, False),
        (Method.DEEPGRAM, "deepgram nova-2", None, True),
    ],
)
def test_parts_are_kept_unless_the_model_changes(
    method: Method, resource: str, model: RequestedModel | None, is_kept: bool
) -> None:
    before = record(decision=decision(method))
    after = plan_rerun(
        before, outcome_of(before, Outcome.FAILED, bill(1, resource), method), RerunRequest(model), now()
    )
    assert (after.parts_run, after.may_have_parts) == ((1, True) if is_kept else (2, False))


def test_what_deepgram_bills_beside_the_model_is_no_other_model() -> None:
    """Else what a failed run had of Deepgram would be paid again, and a completed one run again unasked."""
    before, book = record(decision=decision(Method.DEEPGRAM)), price_book()
    for possibly in (False, True):
        spent = deepgram_bill(
            "nova-3", 60.0, 1e6, book, speakers=True, keyterms=True, redaction=True, possibly=possibly
        )
        assert spent.deepgram_models == {"nova-3"}
        ended = outcome_of(before, Outcome.FAILED, spent, Method.DEEPGRAM)
        assert plan_rerun(before, ended, RerunRequest(NOVA), now()).parts_run == 1
        with pytest.raises(RerunRefused, match="completed by"):
            plan_rerun(before, outcome_of(before, Outcome.COMPLETED, spent, Method.DEEPGRAM), RerunRequest(NOVA), now())


GERMAN = UploadOptions(language=LanguageChoice(tags=("de",)))


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        (UploadOptions(), UploadOptions(), True),
        (UploadOptions(), UploadOptions(deadline_minutes=5, speaker_names=("Ann",)), True),
        (GERMAN, GERMAN, True),
        (UploadOptions(), GERMAN, False),
        (UploadOptions(), UploadOptions(channels=Channels.SPLIT), False),
        (UploadOptions(), UploadOptions(keyterms=parse_keyterms("Hbf")), False),
        (UploadOptions(track=1), UploadOptions(track=2), False),
    ],
)
def test_parts_are_kept_unless_something_else_is_asked_of_engines(
    before: UploadOptions, after: UploadOptions, is_kept: bool
) -> None:
    """They would be another language's words, or those of both channels in one."""
    failed_run = record(options=before)
    again = plan_rerun(failed_run, outcome_of(failed_run, Outcome.FAILED, bill(1)), RerunRequest(), now())
    assert parts_run_with(again, after, "en") == (1 if is_kept else 2)
    # A run that ended before its options were read says nothing of them.
    third = plan_rerun(again, outcome_of(again, Outcome.FAILED, bill(1)), RerunRequest(), now())
    assert parts_run_with(third, after, "en") == (1 if is_kept else 3)


def test_a_completed_job_begins_without_parts_and_a_failed_rerun_keeps_its_model() -> None:
    before = record()
    after = plan_rerun(before, outcome_of(before, Outcome.COMPLETED, bill(1)), RerunRequest(NOVA), now())
    assert (after.parts_run, after.requested) == (2, NOVA)
    again = plan_rerun(after, outcome_of(after, Outcome.FAILED, bill(1, "deepgram nova-3")), RerunRequest(), now())
    assert (again.parts_run, again.requested, again.run) == (2, NOVA, 3)


def test_models_are_named_by_method_or_as_deepgram_does() -> None:
    assert requested_model("parakeet", "nova-3", MODELS) == PARAKEET
    assert requested_model("deepgram", "nova-3", MODELS) == NOVA
    assert requested_model("nova-2", "nova-3", MODELS).label == "deepgram nova-2"
    with pytest.raises(RerunRefused, match="known are parakeet, deepgram, nova-2, nova-3"):
        requested_model("whisper", "nova-3", MODELS)


def test_a_rerun_has_a_message_results_a_receipt_and_a_ledger_line_of_its_own(
    cloud: LoopbackCloud, services: Services
) -> None:
    upload = cloud.drop(b"")
    first = ended(services, upload, Outcome.FAILED, 0.5)
    begun = begin(services, upload)
    assert list(services.jobs.markers.all()) == [OpenMarker(upload.job_id, None, run=2)]
    assert services.jobs.outcome(upload.job_id) == first, "readable until the next one replaces it, and after"
    assert services.jobs.outcome(upload.job_id, 2) is None
    second = end(services, begun, Outcome.COMPLETED, 0.25)
    assert cloud.terminal_messages() == [first, second]
    assert (first.event_id, second.event_id) == (f"{upload.job_id}-terminal", f"{upload.job_id}-terminal-2")
    assert (second.run, second.bill.usd, second.earlier_usd) == (2, 0.25, 0.5)
    folder = f"calls/a.mp3/{upload.generation}"
    assert set(cloud.names(RESULTS)) >= {f"{folder}/receipt.json", f"{folder}/run-2/transcript.json"}
    assert second.results["transcript.json"] == f"gs://{RESULTS}/{folder}/run-2/transcript.json"
    for message in (first, second):
        key = message.results["receipt.json"].removeprefix(f"gs://{RESULTS}/")
        receipt = Receipt.model_validate_json(cloud.storage.bucket(RESULTS).blob(key).download_as_bytes())
        assert (receipt.run, receipt.bill, receipt.earlier_usd) == (message.run, message.bill, message.earlier_usd)
    entries = {entry.id: entry for entry in services.ledger.entries(month_of(now()))}
    assert {name: entry.usd for name, entry in entries.items()} == {upload.job_id: 0.5, f"{upload.job_id}.2": 0.25}
    assert {entry.state for entry in entries.values()} == {EntryState.BILLED}
    assert list(services.jobs.markers.all()) == []


def test_parts_of_a_failed_run_are_kept_until_a_rerun_ends(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    part = f"jobs/{upload.job_id}/parts/one.json"
    services.state.blob(part).upload_from_string("{}")
    ended(services, upload, Outcome.FAILED)
    assert cloud.names(STATE, f"jobs/{upload.job_id}/parts") == [part]
    begun = begin(services, upload, RerunRequest(NOVA))
    services.state.blob(f"jobs/{upload.job_id}/parts-2/two.json").upload_from_string("{}")
    services.state.blob(f"jobs/{upload.job_id}/parts-20/other.json").upload_from_string("{}")
    # As a worker does that found nothing to go on with.
    services.finisher.finish(begun, rejected(DropscribeError("No audio.")), has_parts=lambda: False)
    assert cloud.names(STATE, f"jobs/{upload.job_id}/parts") == [f"jobs/{upload.job_id}/parts-20/other.json"]


def test_whoever_still_works_for_the_run_before_changes_nothing(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    job = services.jobs.claim(upload, "me", timedelta(minutes=10))
    assert job is not None
    first = end(services, job.record, Outcome.FAILED)
    begun = begin(services, upload)
    assert end(services, job.record, Outcome.COMPLETED, text="late words") == first
    services.finisher.publish(first)
    with pytest.raises(StateConflict):
        services.jobs.save(job, attempts=1)
    assert services.jobs.markers.is_open(upload.job_id, 2)
    assert record_of(services, upload) == begun
    assert end(services, begun, Outcome.COMPLETED, text="new words").outcome is Outcome.COMPLETED


def test_the_uploads_event_delivered_again_takes_a_rerun_up(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    ended(services, upload, Outcome.FAILED)
    handle(services, upload)
    assert len(cloud.terminal_messages()) == 1
    begin(services, upload)
    handle(services, upload)
    (message,) = cloud.terminal_messages()
    assert (message.run, message.outcome) == (2, Outcome.REJECTED), "an empty file is inspected again"
    handle(services, upload)
    assert cloud.terminal_messages() == []


def test_a_job_is_not_run_again_while_it_is_open_gone_or_unknown(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    with pytest.raises(RerunRefused, match="no such job"):
        begin(services, upload)
    message = ended(services, upload, Outcome.FAILED)
    objects.write(services.state, f"open/{upload.job_id}.json", b"{}")
    with pytest.raises(RerunRefused, match="is being published"):
        begin(services, upload)
    services.finisher.publish(message)
    begin(services, upload)
    with pytest.raises(RerunRefused, match="has not ended yet: run 2 is claimed"):
        begin(services, upload)
    end(services, record_of(services, upload), Outcome.FAILED)
    cloud.storage.bucket(upload.bucket).blob(upload.name).delete()
    with pytest.raises(RerunRefused, match="deleted or replaced"):
        begin(services, upload)


def test_of_reruns_at_once_one_begins(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    ended(services, upload, Outcome.FAILED)

    def try_to_begin(_: int) -> str:
        try:
            begin(services, upload)
        except RerunRefused as error:
            return error.reason
        return "begun"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(try_to_begin, range(4)))
    assert answers == ["The job has not ended yet: run 2 is claimed."] * 3 + ["begun"]
    assert reconcile_all(services) == {"restarted": 1}
    assert [message.run for message in cloud.terminal_messages()] == [1, 2]
    assert list(services.jobs.markers.all()) == []


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_rerun_killed_before_any_effect_leaves_the_old_end_or_a_run_that_ends(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch, is_damaged: bool
) -> None:
    monkeypatch.setattr("trigger_function.reconciler.unreadable.UNREADABLE_AFTER", timedelta(0))
    begun = 0
    for effect in count(1):
        upload = cloud.drop(b"", f"calls/{effect}.mp3")
        first = ended(services, upload, Outcome.FAILED)
        if is_damaged:
            damage(services, upload, keeps_options=False)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            begin(services, upload)
        # The marker's age, which tells the reconciler that its writer is gone.
        for marker in services.jobs.markers.all():
            services.jobs.markers.write(upload, marker.run, now() - timedelta(hours=1))
        for _ in range(2):
            reconcile_all(services)
        found = services.jobs.find(upload.job_id)
        assert found is not None
        run = found.record.run
        begun += run == 2
        messages = cloud.terminal_messages()
        assert [message.run for message in messages] == list(range(1, run + 1))
        assert messages[0] == first
        assert list(services.jobs.markers.all()) == []
        if not kill.happened:
            break
    assert begun
    assert effect > 2


def damage(services: Services, upload: Upload, *, keeps_options: bool) -> None:
    """Have the job's record be of no kind that is read."""
    stored = objects.read(services.state, record_name(upload.job_id))
    assert stored is not None
    found = json.loads(stored.data) | {"schema_version": "?"}
    objects.write(services.state, record_name(upload.job_id), json.dumps(found).encode() if keeps_options else b"")


@pytest.mark.parametrize("keeps_options", [True, False])
def test_a_job_that_has_ended_is_read_and_run_again_though_its_record_is_damaged(
    cloud: LoopbackCloud, services: Services, keeps_options: bool
) -> None:
    upload = cloud.drop(b"")
    first = ended(services, upload, Outcome.FAILED, 0.5)
    damage(services, upload, keeps_options=keeps_options)
    assert standing_of(services.jobs, upload.job_id) == "failed"
    progress, status = read_progress(services.jobs, upload.job_id), read_status(services.jobs, upload.job_id, now())
    assert (progress and progress.outcome) == Outcome.FAILED
    assert (status and (status.upload, status.bill)) == (upload, first.bill)
    assert Job(services.storage, services.jobs, upload.job_id).outcome() == first
    assert reconcile_all(services) == {}, "nobody waits for it"
    begun = begin(services, upload)
    assert (begun.run, begun.earlier_usd, begun.upload) == (2, 0.5, upload)
    # What is stored is of use where it is known what was asked.
    assert begun.parts_run == (1 if keeps_options else 2)
    assert len(cloud.names(STATE, f"jobs/{upload.job_id}/unreadable/record.json/")) == 1
    damage(services, upload, keeps_options=keeps_options)
    with pytest.raises(ValidationError):  # it has not ended: the reconciler looks after it
        services.jobs.find(upload.job_id)


def test_an_upload_that_is_called_erased_is_found_though_its_record_is_damaged(
    cloud: LoopbackCloud, services: Services
) -> None:
    upload = cloud.drop(b"", "erased")
    ended(services, upload, Outcome.FAILED)
    damage(services, upload, keeps_options=True)
    assert standing_of(services.jobs, upload.job_id) == "failed"
    assert begin(services, upload).run == 2


def test_of_what_a_newer_release_wrote_the_outcome_is_read_and_nothing_run_again(
    cloud: LoopbackCloud, services: Services
) -> None:
    upload = cloud.drop(b"")
    ended(services, upload, Outcome.FAILED)
    objects.write(services.state, record_name(upload.job_id), b'{"schema_version": 2}')
    assert standing_of(services.jobs, upload.job_id) == "failed"
    with pytest.raises(RerunRefused, match="newer release"):
        begin(services, upload)
    assert list(services.jobs.markers.all()) == []


def test_a_private_upload_stays_here_though_nobody_knows_that_it_is(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(AUDIO, metadata={"transcribe-privacy": "local"})
    ended(services, upload, Outcome.FAILED)
    damage(services, upload, keeps_options=False)
    begin(services, upload, RerunRequest(NOVA))
    assert reconcile_all(services) == {"restarted": 1}
    again = record_of(services, upload)
    assert again.decision is not None
    assert (again.decision.method, again.deepgram_calls) == (Method.PARAKEET, 0)


def test_a_marker_without_its_run_is_left_while_its_writer_may_live(cloud: LoopbackCloud, services: Services) -> None:
    upload = cloud.drop(b"")
    ended(services, upload, Outcome.FAILED)
    job, planned = planned_rerun(services.jobs, upload.job_id, RerunRequest())
    services.jobs.markers.write(upload, 2, now())
    assert reconcile_all(services) == {"waiting": 1}
    # Its writer was suspended for hours, and comes back when the marker was given up.
    assert services.jobs.close_unbegun(upload.job_id, 2)
    with pytest.raises(StateConflict):
        services.jobs.begin_run(job, planned)
    assert record_of(services, upload).run == 1
    # It tries again, which its marker tells nobody to take back any more.
    begin(services, upload)
    assert not services.jobs.close_unbegun(upload.job_id, 2)
    assert services.jobs.markers.is_open(upload.job_id, 2)
