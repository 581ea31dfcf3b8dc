"""Each stored object that cannot be read: what the reconciler makes of it, for every kind of damage, as the table in
docs/operations.md says; and nothing of it where a newer release wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import stamina

from infra.recordings import recording
from shared import objects
from shared.clock import now
from shared.costs.bill import Bill, LineItem, LineItemKind
from shared.costs.shard_plan import Shard, shard_work_id
from shared.deepgram import DeepgramResult
from shared.enums import Engine, Method, Outcome
from shared.errors import DropscribeError
from shared.media import Upload
from shared.messages import Decision, Receipt, TerminalMessage
from shared.object_names import MAX_OBJECT_NAME_BYTES
from shared.operations.rerun import RerunRequest, begin_rerun, planned_rerun
from shared.state.execution_costs import TaskCosts
from shared.state.job_result import completed, failed
from shared.state.jobs.first_transcript import FirstTranscript
from shared.state.jobs.object_names import marker_name, outcome_name, record_name, unreadable_folder
from shared.state.jobs.open_markers import OpenMarker
from shared.state.jobs.rebuilt_record import LOST
from shared.state.jobs.record import Job, JobRecord, JobState
from shared.state.jobs.shard_record import first_shard_record
from shared.state.ledger_entry import month_of, reservation
from shared.transcript.compose import compose
from shared.transcript.model import Passage, Transcript, Word
from tests.support.faulty_deepgram import FaultyDeepgramServer
from tests.support.function_services import MakeServices
from tests.support.killed_process import killed_at
from tests.support.loopback_cloud import RESULTS, STATE, UPLOADS, LoopbackCloud
from tests.support.quiet_jobs import AUDIO, MEDIA, quiet
from trigger_function.deepgram.answers import StoredAnswer
from trigger_function.reconciler import sweep
from trigger_function.reconciler.open_jobs import reconcile_all
from trigger_function.reconciler.unreadable import NEWER_VERSION, look_after_unreadable
from trigger_function.services import Services

DAYS = timedelta(days=2)
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
MEMO = recording("memo.wav").path.read_bytes()
CALL = LineItem(kind=LineItemKind.DEEPGRAM, resource="deepgram nova-3", quantity=1, unit="min", usd_per_unit=0.0043)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def of_newer_version(data: bytes) -> bytes:
    return json.dumps({"schema_version": 2, "of": json.loads(data)}).encode()


DAMAGES: Mapping[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": cut,
    "of another type": lambda _: b"[1, 2]",
}


@dataclass(frozen=True)
class Place:
    """Where a test's object lies, and the job that it is of."""

    upload: Upload
    name: str
    bucket: str = STATE
    says_by_metadata: str | None = None
    """The entry of its custom metadata that says all; None: its content does."""


def opened(services: Services, upload: Upload, run: int = 1) -> Place:
    services.jobs.markers.write(upload, run, now() - DAYS / 4)
    return Place(upload, marker_name(upload.job_id, run), says_by_metadata="opened")


def a_transcript(upload: Upload, text: str = "hello there") -> Transcript:
    words = [Word(text=one, start=float(at), end=at + 0.5) for at, one in enumerate(text.split())]
    return compose(
        job_id=upload.job_id,
        source=upload.uri,
        duration=60,
        language="en",
        model="m",
        passages=[Passage(Engine.PARAKEET_GPU, words)],
    )


def stored_results(services: Services, job: Job, text: str) -> Mapping[str, str]:
    """What a finisher stored that was killed before the outcome."""
    record = job.record
    transcript = a_transcript(record.upload, text)
    services.finisher.finish(record, completed(transcript), Bill())
    for name in (outcome_name(job.id, 1), f"{results_folder(record.upload)}receipt.json"):
        for bucket in (services.state, services.storage.bucket(RESULTS)):
            objects.delete(bucket, name)
    opened(services, record.upload)
    return {}


def results_folder(upload: Upload) -> str:
    return f"{upload.name}/{upload.generation}/"


# What is there before each object is damaged.


def marker(cloud: LoopbackCloud, services: Services) -> Place:
    return opened(services, cloud.drop(AUDIO))


def record(cloud: LoopbackCloud, services: Services) -> Place:
    job = quiet(services, cloud.drop(AUDIO), attempts=2, lost_attempts=1, deepgram_calls=1, spent=Bill(items=(CALL,)))
    return Place(job.record.upload, record_name(job.id))


def shard(cloud: LoopbackCloud, services: Services) -> Place:
    shards = (Shard(0, 0, 30), Shard(1, 30, None))
    job = quiet(services, cloud.drop(AUDIO), shards=shards)
    services.jobs.open_shard(job.record, shards[1], attempts=2, lost_attempts=1, spent=Bill(items=(CALL,)))
    return Place(job.record.upload, record_name(shard_work_id(job.id, 1, 1)))


def outcome(cloud: LoopbackCloud, services: Services) -> Place:
    job = quiet(services, cloud.drop(AUDIO))
    services.finisher.finish(job.record, completed(a_transcript(job.record.upload)), Bill(items=(CALL,)), "execution-x")
    cloud.terminal_messages()
    opened(services, job.record.upload)
    return Place(job.record.upload, outcome_name(job.id, 1))


def first_transcript(cloud: LoopbackCloud, services: Services) -> Place:
    job = quiet(services, cloud.drop(AUDIO), received_ago=DAYS, has_first_transcript=True)
    services.jobs.keep_first_transcript(job.record, FirstTranscript(transcript=a_transcript(job.record.upload)))
    return Place(job.record.upload, f"jobs/{job.id}/parts/first-transcript.json")


def answer(cloud: LoopbackCloud, services: Services) -> Place:
    """Deepgram's, of an attempt that was killed behind it."""
    decision = Decision(method=Method.DEEPGRAM, rule="requested", reason="Because.")
    media = MEDIA.model_copy(update={"duration_seconds": 8.0, "size_bytes": len(MEMO)})
    job = quiet(
        services,
        cloud.drop(MEMO, "memo.wav"),
        state=JobState.CLAIMED,
        started_at=now(),
        decision=decision,
        media=media,
        deepgram_calls=1,
        spent=Bill(items=(CALL,)),
    )
    words = [Word(text="stored", start=0.0, end=0.5)]
    heard = DeepgramResult(
        passage=Passage(Engine.DEEPGRAM, words),
        duration_seconds=8.0,
        channels=1,
        language="en",
        model="nova-3",
        request_id="r",
    )
    services.answers.store(job.record, StoredAnswer(result=heard, price=Bill(items=(CALL,))))
    return Place(job.record.upload, f"jobs/{job.id}/parts/deepgram-answer.json")


def transcript(cloud: LoopbackCloud, services: Services) -> Place:
    job = quiet(services, cloud.drop(AUDIO), received_ago=DAYS, started_at=now() - DAYS)
    stored_results(services, job, "hello there")
    cloud.terminal_messages()
    return Place(job.record.upload, f"{results_folder(job.record.upload)}transcript.json", RESULTS)


def receipt(cloud: LoopbackCloud, services: Services) -> Place:
    before = outcome(cloud, services)
    return Place(before.upload, f"{results_folder(before.upload)}receipt.json", RESULTS)


def execution(cloud: LoopbackCloud, services: Services) -> Place:
    at = now()
    costs = TaskCosts(
        execution="execution-x",
        index=0,
        attempt=0,
        began_at=at - DAYS,
        updated_at=at - DAYS,
        alive_until=at - DAYS,
        spent_usd=0.5,
        on_bills_usd=0.0,
        usd_per_second=0.001,
    )
    services.execution_costs.update(costs)
    job = quiet(services, cloud.drop(AUDIO))
    return Place(job.record.upload, "open-executions/execution-x/0-0.json")


# What has become of it.


def set_aside(cloud: LoopbackCloud, place: Place) -> list[str]:
    """Copies of the object."""
    if place.bucket == RESULTS:
        folder, _, file = place.name.rpartition("/")
        return cloud.names(RESULTS, f"{folder}/unreadable/{file}/")
    folder = f"unreadable/{place.name}/" if place.name.startswith("open-exec") else unreadable_folder(place.name)
    return cloud.names(STATE, folder)


def only_message(cloud: LoopbackCloud) -> TerminalMessage:
    (message,) = cloud.terminal_messages()
    return message


def record_of(services: Services, work_id: str) -> JobRecord:
    job = services.jobs.load(work_id)
    assert job is not None
    return job.record


def swept(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    assert cloud.names(STATE, "open/") == []
    assert sweep.sweep(services, 60) == 1
    # It may have had a job: what that left is looked for, once whoever wrote the marker must be gone.
    opened(services, place.upload)
    assert reconcile_all(services) == {"rebuilt": 1}
    assert reconcile_all(services) == {"restarted": 1}
    assert [item.upload for item in cloud.work_items()] == [place.upload]


def rebuilt(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    found = record_of(services, place.upload.job_id)
    # Half a record still has how often it was tried; of an empty one each loss counts.
    assert (found.attempts, found.lost_attempts) == ((2, 1) if damage == "cut" else (1, 1))
    assert found.last_error == LOST
    assert reconcile_all(services) == {"restarted": 1}
    assert [item.job_id for item in cloud.work_items()] == [place.upload.job_id]


def shard_rebuilt(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    found = record_of(services, shard_work_id(place.upload.job_id, 1, 1))
    assert (found.shard, found.state) == (Shard(1, 30, None), JobState.QUEUED)
    assert (found.attempts, found.lost_attempts) == ((2, 1) if damage == "cut" else (1, 1))
    assert reconcile_all(services) == {"queued again": 1}
    assert sorted(item.shard or 0 for item in cloud.work_items()) == [0, 1]


def ended_again(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    message = only_message(cloud)
    assert message == services.jobs.outcome(place.upload.job_id)
    assert (message.outcome, message.bill, message.execution) == (
        Outcome.COMPLETED,
        Bill(items=(CALL,)),
        "execution-x",
    )
    assert message.event_id == f"{place.upload.job_id}-terminal"
    (line,) = services.ledger.entries(month_of(message.received_at))
    assert line.usd == pytest.approx(CALL.usd)
    assert reconcile_all(services) == {}


def failed_for_good(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    assert only_message(cloud).outcome is Outcome.FAILED
    assert reconcile_all(services) == {}


def paid_once_more(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    message = only_message(cloud)
    assert message.outcome is Outcome.COMPLETED
    # The call whose answer is lost stays on the bill.
    assert CALL in message.bill.items
    assert len([one for one in message.bill.items if one.kind is LineItemKind.DEEPGRAM]) == 2


def receipt_again(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    stored = objects.read(services.storage.bucket(RESULTS), place.name)
    assert stored is not None
    assert Receipt.model_validate_json(stored.data).bill == only_message(cloud).bill == Bill(items=(CALL,))


def not_booked(cloud: LoopbackCloud, services: Services, place: Place, damage: str) -> None:
    assert list(services.execution_costs.running()) == []
    assert cloud.names(STATE, "open-executions/") == []


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    prepare: Callable[[LoopbackCloud, Services], Place]
    damaged: Mapping[str, int]
    """What the first tick answers."""
    check: Callable[[LoopbackCloud, Services, Place, str], None]
    newer: Mapping[str, int]
    """The same of an object of a newer version."""
    is_kept: bool = True
    """Whether what was damaged is set aside."""


WAITS = {"newer version": 1}

ROWS = {
    "open/JOB.json": Row(marker, {"set aside": 1}, swept, WAITS),
    "jobs/JOB/record.json": Row(record, {"rebuilt": 1}, rebuilt, WAITS),
    "jobs/JOB/shards/N/record.json": Row(shard, {"rebuilt": 1}, shard_rebuilt, WAITS),
    "jobs/JOB/outcome.json": Row(outcome, {"ended again": 1}, ended_again, WAITS),
    "jobs/JOB/parts/first-transcript.json": Row(first_transcript, {"failed": 1}, failed_for_good, WAITS, is_kept=False),
    "jobs/JOB/parts/deepgram-answer.json": Row(answer, {"restarted": 1}, paid_once_more, WAITS, is_kept=False),
    "transcript.json": Row(transcript, {"failed": 1}, failed_for_good, WAITS, is_kept=False),
    "receipt.json": Row(receipt, {"published": 1}, receipt_again, {"published": 1}),
    "open-executions/EXECUTION/TASK.json": Row(execution, {"queued again": 1}, not_booked, {"queued again": 1}),
}


@pytest.fixture
def services(
    make_services: MakeServices, shared_deepgram_server: FaultyDeepgramServer, deepgram_key: str
) -> Iterator[Services]:
    with stamina.set_testing(True, attempts=1):
        yield make_services(
            UPLOADS_BUCKET=UPLOADS,
            TRANSCRIPTION_METHOD="parakeet",
            DEEPGRAM_API_KEY=deepgram_key,
            DEEPGRAM_BASE_URL=shared_deepgram_server.url,
        )
    shared_deepgram_server.recover()


@pytest.fixture
def any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what may still be written again."""
    for place in ("trigger_function.reconciler.unreadable", "shared.state.execution_costs"):
        monkeypatch.setattr(f"{place}.UNREADABLE_AFTER", timedelta(0))
    monkeypatch.setattr(sweep, "LEAST_AGE", timedelta(0))


def spoil(cloud: LoopbackCloud, place: Place, how: Callable[[bytes], bytes]) -> bytes:
    """Put something else in the object's place; what."""
    data = how(said(cloud, place))
    blob = cloud.storage.bucket(place.bucket).blob(place.name)
    if place.says_by_metadata is not None:
        blob.metadata = {place.says_by_metadata: data.decode()}
    blob.upload_from_string(data if place.says_by_metadata is None else b"{}")
    return data


def said(cloud: LoopbackCloud, place: Place) -> bytes:
    """What the object says."""
    blob = cloud.storage.bucket(place.bucket).get_blob(place.name)
    assert blob is not None
    if place.says_by_metadata is not None:
        text: str = blob.metadata[place.says_by_metadata]
        return text.encode()
    content: bytes = blob.download_as_bytes()
    return content


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("row", ROWS)
def test_what_is_damaged_is_made_again(cloud: LoopbackCloud, services: Services, row: str, damage: str) -> None:
    case = ROWS[row]
    place = case.prepare(cloud, services)
    data = spoil(cloud, place, DAMAGES[damage])
    assert reconcile_all(services) == case.damaged
    kept = [cloud.storage.bucket(place.bucket).blob(name).download_as_bytes() for name in set_aside(cloud, place)]
    assert kept == ([data] if case.is_kept else [])
    case.check(cloud, services, place, damage)


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("row", ROWS)
def test_what_a_newer_release_wrote_is_left_alone(cloud: LoopbackCloud, services: Services, row: str) -> None:
    case = ROWS[row]
    place = case.prepare(cloud, services)
    cloud.terminal_messages()
    data = spoil(cloud, place, of_newer_version)
    assert reconcile_all(services) == case.newer
    if case.newer == WAITS:
        assert reconcile_all(services) == WAITS
        assert (cloud.terminal_messages(), cloud.work_items(), cloud.executions()) == ([], [], [])
    assert said(cloud, place) == data
    assert set_aside(cloud, place) == []


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("row", ["jobs/JOB/record.json", "jobs/JOB/shards/N/record.json", "jobs/JOB/outcome.json"])
def test_a_tick_that_is_killed_leaves_the_next_one_the_same_to_do(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    case = ROWS[row]
    for effect in count(1):
        place = case.prepare(cloud, services)
        spoil(cloud, place, cut)
        with killed_at(effect, monkeypatch=monkeypatch) as kill:
            look_after_unreadable(services, OpenMarker(place.upload.job_id, None))
        for _ in range(3):
            reconcile_all(services)
        assert len(set_aside(cloud, place)) == 1
        if case.check is ended_again:
            ended = services.jobs.outcome(place.upload.job_id)
            assert ended is not None
            assert (ended.bill, ended.execution) == (Bill(items=(CALL,)), "execution-x")
            assert not services.jobs.markers.is_open(place.upload.job_id)
            assert {one.event_id for one in cloud.terminal_messages()} <= {ended.event_id}
        else:
            found = record_of(services, place.name.removeprefix("jobs/").removesuffix("/record.json"))
            assert (found.attempts, found.lost_attempts, found.last_error) == (2, 1, LOST)
        if not kill.happened:
            assert effect > 2
            return


def test_the_table_has_every_row_that_is_tested() -> None:
    section = OPERATIONS.read_text().partition("### Objects that cannot be read\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
    assert rows == [*ROWS, "ledger/MONTH/DAY/ID"]


@pytest.mark.parametrize("row", [name for name, case in ROWS.items() if case.newer == WAITS and case.is_kept])
def test_for_an_hour_it_may_still_be_written_again(cloud: LoopbackCloud, services: Services, row: str) -> None:
    place = ROWS[row].prepare(cloud, services)
    data = spoil(cloud, place, cut)
    for _ in range(3):
        assert reconcile_all(services) == {"unreadable": 1}
    assert said(cloud, place) == data
    assert set_aside(cloud, place) == []


@pytest.mark.usefixtures("any_age")
def test_a_record_that_is_lost_again_and_again_ends(cloud: LoopbackCloud, services: Services) -> None:
    place = record(cloud, services)
    done = []
    for _ in range(3):
        spoil(cloud, place, DAMAGES["empty"])
        done.append(reconcile_all(services))
    assert done == [{"rebuilt": 1}] * 3
    assert reconcile_all(services) == {"failed": 1}
    message = only_message(cloud)
    assert message.reason is not None
    assert message.reason.endswith(LOST)


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("calls", [0, 2])
@pytest.mark.parametrize("damage", DAMAGES)
def test_calls_whose_only_note_is_lost_are_on_the_bill(
    cloud: LoopbackCloud, services: Services, damage: str, calls: int, method: Method
) -> None:
    decision = Decision(method=method, rule="requested", reason="Because.")
    job = quiet(services, cloud.drop(MEMO, "memo.wav"), state=JobState.CLAIMED, decision=decision, deepgram_calls=calls)
    services.ledger.reserve(reservation(job.record, 0.25))
    record_place = Place(job.record.upload, record_name(job.id))

    def before_spent(data: bytes) -> bytes:
        return data[: data.index(b'"spent"')] if damage == "cut" else DAMAGES[damage](data)

    spoil(cloud, record_place, before_spent)
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, job.id)
    # Half a record says how many calls there were; nothing says it where none of it can be read.
    expected = calls if damage == "cut" else 1
    is_counted = method is Method.DEEPGRAM
    assert found.spent.possibly_usd == (0.25 * expected if is_counted else 0.0)
    assert found.deepgram_calls == (expected if is_counted or damage == "cut" else 0)


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize("calls_are_known", [True, False])
@pytest.mark.parametrize("is_answered", [True, False])
def test_of_calls_that_were_reserved_with_those_before_each_is_on_the_bill_once(
    cloud: LoopbackCloud, services: Services, calls_are_known: bool, is_answered: bool
) -> None:
    """A process was killed in its call, and so was the next one, which had reserved both; perhaps behind its answer."""
    decision = Decision(method=Method.DEEPGRAM, rule="requested", reason="Because.")
    first = Bill(items=(CALL.model_copy(update={"possibly_billed": True}),))
    upload = cloud.drop(MEMO, "memo.wav")
    job = quiet(services, upload, state=JobState.CLAIMED, decision=decision, spent=first, deepgram_calls=2)
    services.ledger.reserve(reservation(job.record, 2 * CALL.usd))
    services.jobs.save(job, spent=first + first)
    if is_answered:
        heard = DeepgramResult(Passage(Engine.DEEPGRAM, []), 60.0, channels=1, request_id="r", model="nova-3")
        services.answers.store(job.record, StoredAnswer(result=heard, price=first))
    spoil(cloud, Place(upload, record_name(job.id)), without("spent") if calls_are_known else DAMAGES["empty"])
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, job.id)
    assert found.spent.possibly_usd == pytest.approx(2 * CALL.usd)
    assert found.deepgram_calls == 2
    answered = found.spent.answered(first, Bill(items=(CALL,)))
    assert (answered.usd, answered.possibly_usd) == (pytest.approx(2 * CALL.usd), pytest.approx(CALL.usd))


def without(field: str) -> Callable[[bytes], bytes]:
    """The object with one field that cannot be read, and a version that says nothing."""

    def damage(data: bytes) -> bytes:
        return json.dumps({**json.loads(data), "schema_version": "?", field: "?"}).encode()

    return damage


@pytest.mark.usefixtures("any_age")
def test_what_shards_cost_is_counted_once_however_often_the_record_is_lost(
    cloud: LoopbackCloud, services: Services
) -> None:
    shards = (Shard(0, 0, 30), Shard(1, 30, None))
    job = quiet(services, cloud.drop(AUDIO), shards=shards, spent=Bill(items=(CALL,)))
    heard = Bill(items=(CALL.model_copy(update={"task": "x/0-0", "quantity": 0.5}),))
    services.jobs.open_shard(job.record, shards[1], attempts=1, spent=heard)
    for _ in range(2):
        spoil(cloud, Place(job.record.upload, record_name(job.id)), without("media"))
        assert reconcile_all(services) == {"rebuilt": 1}
        assert record_of(services, job.id).spent == Bill(items=(CALL,)) + heard


@pytest.mark.usefixtures("any_age")
@pytest.mark.parametrize(("run", "calls", "counted"), [(1, 1, 1), (1, 3, 3), (1, "?", 1), (2, "?", 0), (2, 1, 1)])
def test_a_stored_answer_says_what_the_calls_of_its_run_cost(
    cloud: LoopbackCloud, services: Services, run: int, calls: int | str, counted: int
) -> None:
    place = answer(cloud, services)
    job = services.jobs.load(place.upload.job_id)
    assert job is not None
    services.jobs.markers.write(place.upload, run, now())
    services.jobs.save(job, run=run)

    def damage(data: bytes) -> bytes:
        return json.dumps({**json.loads(without("spent")(data)), "deepgram_calls": calls}).encode()

    spoil(cloud, Place(place.upload, record_name(job.id)), damage)
    assert reconcile_all(services)["rebuilt"] == 1
    found = record_of(services, job.id)
    assert (found.run, found.deepgram_calls) == (run, counted)
    assert found.spent == Bill(items=(CALL,) * counted)


@pytest.mark.usefixtures("any_age")
def test_a_stored_answer_is_used_without_a_call_where_the_record_was_lost(
    cloud: LoopbackCloud,
    services: Services,
    make_services: MakeServices,
    shared_deepgram_server: FaultyDeepgramServer,
) -> None:
    place = answer(cloud, services)
    objects.delete(services.state, record_name(place.upload.job_id))
    before = len(shared_deepgram_server.requests)
    assert reconcile_all(services) == {"waiting": 1}
    opened(services, place.upload)
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, place.upload.job_id)
    assert (found.spent, found.deepgram_calls) == (Bill(items=(CALL,)), 1)
    assert reconcile_all(make_services(TRANSCRIPTION_METHOD="deepgram")) == {"restarted": 1}
    message = only_message(cloud)
    assert (message.outcome, message.word_count, message.bill.possibly_usd) == (Outcome.COMPLETED, 1, 0.0)
    assert len(shared_deepgram_server.requests) == before


@pytest.mark.usefixtures("any_age")
def test_what_has_ended_is_published_though_its_record_cannot_be_read(cloud: LoopbackCloud, services: Services) -> None:
    place = outcome(cloud, services)
    spoil(cloud, Place(place.upload, record_name(place.upload.job_id)), DAMAGES["empty"])
    assert reconcile_all(services) == {"published": 1}
    assert only_message(cloud).outcome is Outcome.COMPLETED
    assert record_of(services, place.upload.job_id).run == 1
    assert reconcile_all(services) == {}


@pytest.mark.usefixtures("any_age")
def test_an_outcome_without_transcript_or_receipt_is_found_again(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO), attempts=3, lost_attempts=2)
    services.finisher.finish(job.record, failed(DropscribeError("Once.")))
    cloud.terminal_messages()
    opened(services, job.record.upload)
    objects.delete(services.storage.bucket(RESULTS), f"{results_folder(job.record.upload)}receipt.json")
    spoil(cloud, Place(job.record.upload, outcome_name(job.id, 1)), cut)
    assert reconcile_all(services) == {"set aside": 1}
    assert reconcile_all(services) == {"failed": 1}
    assert only_message(cloud).outcome is Outcome.FAILED


@pytest.mark.usefixtures("any_age")
def test_a_job_of_which_only_the_receipt_is_left_is_transcribed_again(cloud: LoopbackCloud, services: Services) -> None:
    place = outcome(cloud, services)
    spoil(cloud, place, cut)
    of_transcript = Place(place.upload, f"{results_folder(place.upload)}transcript.json", RESULTS)
    spoil(cloud, of_transcript, cut)
    assert reconcile_all(services) == {"set aside": 1}
    assert cloud.terminal_messages() == []  # completed, without a word of it
    assert reconcile_all(services) == {"restarted": 1}
    job = services.jobs.load(place.upload.job_id)
    assert job is not None
    assert job.record.spent == Bill(items=(CALL,))
    more = Bill(items=(CALL.model_copy(update={"task": "y/0-0"}),))
    services.finisher.finish(job.record, completed(a_transcript(place.upload, "once more")), job.record.spent + more)
    message = only_message(cloud)
    assert (message.outcome, message.bill) == (Outcome.COMPLETED, Bill(items=(CALL,)) + more)
    stored = objects.read(services.storage.bucket(RESULTS), f"{results_folder(place.upload)}receipt.json")
    assert stored is not None
    assert Receipt.model_validate_json(stored.data).bill == message.bill


@pytest.mark.usefixtures("any_age")
def test_an_outcome_is_made_again_though_a_shards_record_cannot_be_read_either(
    cloud: LoopbackCloud, services: Services
) -> None:
    of_shard = shard(cloud, services)
    job = services.jobs.load(of_shard.upload.job_id)
    assert job is not None
    services.finisher.finish(job.record, completed(a_transcript(of_shard.upload)), Bill())
    cloud.terminal_messages()
    opened(services, of_shard.upload)
    objects.delete(services.storage.bucket(RESULTS), f"{results_folder(of_shard.upload)}receipt.json")
    for place in (of_shard, Place(of_shard.upload, outcome_name(job.id, 1))):
        spoil(cloud, place, without("attempts"))
    assert reconcile_all(services) == {"ended again": 1}
    message = only_message(cloud)
    assert (message.outcome, message.bill) == (Outcome.COMPLETED, Bill(items=(CALL,)))


@pytest.mark.usefixtures("any_age")
def test_a_finisher_sets_a_damaged_transcript_aside_with_what_was_made_of_it(
    cloud: LoopbackCloud, services: Services
) -> None:
    place = transcript(cloud, services)
    spoil(cloud, place, cut)
    job = services.jobs.load(place.upload.job_id)
    assert job is not None
    ended = services.finisher.finish(job.record, completed(a_transcript(place.upload, "other words")), Bill())
    assert ended.outcome is Outcome.COMPLETED
    folder = results_folder(place.upload)
    for name in ("transcript.json", "transcript.txt"):
        assert "other words" in cloud.storage.bucket(RESULTS).blob(folder + name).download_as_text().lower()
    assert len(cloud.names(RESULTS, f"{folder}unreadable/transcript.txt/")) == 1


@pytest.mark.usefixtures("any_age")
def test_what_is_set_aside_of_a_long_name_has_a_name_that_can_be_written(
    cloud: LoopbackCloud, services: Services
) -> None:
    upload = cloud.drop(AUDIO, f"{'calls' * 195}.mp3")
    job = quiet(services, upload)
    services.finisher.finish(job.record, completed(a_transcript(upload)), Bill())
    (name,) = (one for one in cloud.names(RESULTS) if one.endswith("transcript.json"))
    assert name.startswith(upload.name)
    objects.delete(services.state, outcome_name(job.id, 1))
    spoil(cloud, Place(upload, name, RESULTS), cut)
    services.finisher.finish(job.record, completed(a_transcript(upload, "other words")), Bill())
    kept = [one for one in cloud.names(RESULTS) if one.rpartition("/")[2].isdecimal()]
    assert len(kept) == 8
    assert max(len(one) for one in kept) <= MAX_OBJECT_NAME_BYTES
    assert all(one.startswith(f"{upload.name}/{upload.generation}/") for one in kept)


def test_a_transcript_of_a_newer_version_within_another_object_waits_too(
    cloud: LoopbackCloud, services: Services
) -> None:
    place = first_transcript(cloud, services)

    def newer_within(data: bytes) -> bytes:
        found = json.loads(data)
        return json.dumps({**found, "transcript": {**found["transcript"], "schema_version": 2}}).encode()

    newer = spoil(cloud, place, newer_within)
    assert reconcile_all(services) == WAITS
    assert cloud.storage.bucket(STATE).blob(place.name).download_as_bytes() == newer


def test_a_rerun_that_lost_its_record_goes_on(cloud: LoopbackCloud, services: Services) -> None:
    before = quiet(services, cloud.drop(AUDIO))
    services.finisher.finish(before.record, failed(DropscribeError("Once.")), Bill(items=(CALL,)))
    cloud.terminal_messages()
    objects.delete(services.state, record_name(before.id))
    opened(services, before.record.upload, run=2)
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, before.id)
    assert (found.run, found.earlier_usd) == (2, CALL.usd)
    assert reconcile_all(services) == {"restarted": 1}
    assert len(cloud.work_items()) == 1


def of_no_kind(data: bytes) -> bytes:
    """All of it can still be read."""
    return json.dumps(json.loads(data) | {"schema_version": "?"}).encode()


def end_once(services: Services, place: Place) -> None:
    """Its first run, with a call to Deepgram on the bill."""
    before = services.jobs.load(place.upload.job_id)
    assert before is not None
    services.finisher.finish(before.record, failed(DropscribeError("Once.")), Bill(items=(CALL,)))


@pytest.mark.usefixtures("any_age")
def test_a_rerun_that_begins_with_a_damaged_record_has_nothing_of_the_run_before(
    cloud: LoopbackCloud, services: Services
) -> None:
    """Its process was killed between marker and record, which is that of the run before."""
    place = record(cloud, services)
    end_once(services, place)
    spoil(cloud, place, of_no_kind)
    opened(services, place.upload, run=2)
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, place.upload.job_id)
    assert (found.run, found.earlier_usd, found.spent) == (2, CALL.usd, Bill())
    assert (found.attempts, found.deepgram_calls) == (1, 0)


@pytest.mark.usefixtures("any_age")
def test_a_rerun_that_is_about_to_replace_a_damaged_record_is_left_to_its_process(
    cloud: LoopbackCloud, services: Services
) -> None:
    place = record(cloud, services)
    end_once(services, place)
    spoil(cloud, place, DAMAGES["empty"])
    job, planned = planned_rerun(services.jobs, place.upload.job_id, RerunRequest())
    services.jobs.markers.write(place.upload, 2, now())
    assert reconcile_all(services) == {"waiting": 1}
    services.jobs.begin_run(job, planned)
    assert record_of(services, place.upload.job_id) == planned


@pytest.mark.usefixtures("any_age")
def test_losses_of_a_run_before_use_up_no_attempt_of_the_next_one(cloud: LoopbackCloud, services: Services) -> None:
    place = record(cloud, services)
    for _ in range(3):
        spoil(cloud, place, DAMAGES["empty"])
        assert reconcile_all(services) == {"rebuilt": 1}
    assert reconcile_all(services) == {"failed": 1}
    begin_rerun(services.storage, services.jobs, place.upload.job_id, RerunRequest())
    spoil(cloud, place, DAMAGES["empty"])
    assert reconcile_all(services) == {"rebuilt": 1}
    found = record_of(services, place.upload.job_id)
    assert (found.run, found.attempts) == (2, 1)


def test_the_marker_of_a_run_before_the_jobs_own_is_taken_away(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO))
    services.jobs.markers.write(job.record.upload, 2, now())
    services.jobs.save(job, run=2, parts_run=2)
    assert reconcile_all(services) == {"closed": 1, "queued again": 1}
    assert cloud.names(STATE, "open/") == [marker_name(job.id, 2)]


def test_the_marker_of_an_erased_job_is_taken_away(cloud: LoopbackCloud, services: Services) -> None:
    job = quiet(services, cloud.drop(AUDIO))
    services.jobs.erase_record(job)
    opened(services, job.record.upload)
    assert reconcile_all(services) == {"closed": 1}
    assert cloud.names(STATE, "open/") == []


@pytest.mark.parametrize("metadata", [{}, {"state": "nobody's"}, {"state": JobState.QUEUED}], ids=str)
def test_a_shards_state_is_read_where_its_metadata_does_not_say_it(
    cloud: LoopbackCloud, services: Services, metadata: dict[str, str]
) -> None:
    shards = (Shard(0, 0, 30), Shard(1, 30, None))
    job = quiet(services, cloud.drop(AUDIO), shards=shards)
    done = first_shard_record(job.record, shards[1], state=JobState.DONE)
    blob = services.state.blob(record_name(done.work_id))
    blob.metadata = metadata
    blob.upload_from_string(done.model_dump_json())
    expected = JobState.QUEUED if metadata.get("state") == JobState.QUEUED else JobState.DONE
    assert services.jobs.shard_states(job.record) == {1: expected}
    blob.upload_from_string(b"")
    blob.metadata = {"state": "nobody's"}
    blob.patch()
    assert services.jobs.shard_states(job.record) == {}


@pytest.mark.parametrize(
    ("metadata", "usd"),
    [({}, 0.5), ({"usd": ""}, 0.5), ({"usd": "[1]"}, 0.5), ({"usd": "0.7", "state": "of a newer release"}, 0.7)],
    ids=["empty", "cut", "of another type", "newer"],
)
def test_a_ledger_entry_counts_once_whatever_of_it_can_be_read(
    services: Services, metadata: dict[str, str], usd: float
) -> None:
    at = now()
    costs = TaskCosts(
        execution="x",
        index=0,
        attempt=0,
        began_at=at,
        updated_at=at,
        alive_until=at,
        spent_usd=0.5,
        on_bills_usd=0.0,
        usd_per_second=0.001,
    )
    guess = costs.overhead(at)
    blob = services.state.blob(f"ledger/{guess.day:%Y-%m/%d}/{guess.id}")
    blob.metadata = metadata
    blob.upload_from_string(b"")
    services.execution_costs.close_killed(costs, at)
    services.ledger.reserve(guess)
    assert services.ledger.month_sums(f"{guess.day:%Y-%m}").usd == pytest.approx(usd)


@pytest.mark.usefixtures("any_age")
def test_a_damaged_marker_of_a_rerun_that_never_began_is_deleted(cloud: LoopbackCloud, services: Services) -> None:
    """Its process was killed between marker and record: the job has ended as before."""
    place = record(cloud, services)
    end_once(services, place)
    spoil(cloud, opened(services, place.upload, run=2), DAMAGES["empty"])
    assert reconcile_all(services) == {"closed": 1}
    assert reconcile_all(services) == {}
    assert record_of(services, place.upload.job_id).run == 1


def test_a_marker_of_a_rerun_that_cannot_be_read_waits_at_first_and_for_a_newer_release_always(
    cloud: LoopbackCloud, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = record(cloud, services)
    end_once(services, place)
    spoil(cloud, opened(services, place.upload, run=2), DAMAGES["empty"])
    assert reconcile_all(services) == {"unreadable": 1}
    spoil(cloud, opened(services, place.upload, run=2), of_newer_version)
    monkeypatch.setattr("trigger_function.reconciler.unreadable.UNREADABLE_AFTER", -timedelta(minutes=1))
    assert reconcile_all(services) == {NEWER_VERSION: 1}


def test_a_damaged_marker_of_an_erased_job_is_deleted(cloud: LoopbackCloud, services: Services) -> None:
    place = record(cloud, services)
    job = services.jobs.load(place.upload.job_id)
    assert job is not None
    services.finisher.finish(job.record, failed(DropscribeError("Once.")), Bill(items=(CALL,)))
    services.jobs.erase_record(job)
    spoil(cloud, opened(services, place.upload), DAMAGES["empty"])
    assert reconcile_all(services) == {"closed": 1}
    assert reconcile_all(services) == {}
