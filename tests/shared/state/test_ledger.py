"""The ledger: a listing is the month's sum, whatever is written twice, at once, late or never."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import now
from shared.costs.bill import Phase, deepgram_bill, instance_bill
from shared.costs.prices import JobShape, price_book
from shared.enums import Engine, Method, Outcome
from shared.media import Media, Upload
from shared.messages import Decision, Saving, TerminalMessage, event_id
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger import Ledger
from shared.state.ledger_entry import Entry, EntryState, billed, folder_of, month_of, overhead, reservation
from tests.support.loopback_cloud import STATE, LoopbackCloud

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEDIA = Media(container="mp3", codec="mp3", duration_seconds=600, sample_rate_hz=16000, channels=1, size_bytes=9)


def record(name: str = "calls/a.mp3", *, at: datetime = AT, method: Method = Method.PARAKEET) -> JobRecord:
    return JobRecord(
        upload=Upload(bucket="uploads", name=name, generation=7),
        state=JobState.CLAIMED,
        holder="me",
        lease_until=at,
        received_at=at,
        media=MEDIA,
        decision=Decision(method=method, rule="small", reason="Small."),
    )


def entry(number: int, usd: float, state: EntryState = EntryState.RESERVED) -> Entry:
    return Entry(id=f"{number % 16:x}{number}", state=state, day=date(2026, 11, 21), usd=usd)


@pytest.fixture
def ledger(cloud: LoopbackCloud) -> Ledger:
    return Ledger(cloud.storage.bucket(STATE))


def sums(ledger: Ledger, month: str) -> tuple[float, int]:
    """Dollars and jobs."""
    found = ledger.month_sums(month)
    assert sum(found.folders.values()) == pytest.approx(found.usd)
    return found.usd, found.jobs


def test_an_empty_month_costs_nothing(ledger: Ledger) -> None:
    assert sums(ledger, "2026-11") == (0, 0)
    assert list(ledger.entries("2026-11")) == []


def test_the_bill_takes_the_reservations_place(ledger: Ledger) -> None:
    ledger.reserve(entry(1, 0.5))
    ledger.reserve(entry(2, 0.25))
    assert sums(ledger, "2026-11") == (0.75, 2)
    ledger.book(entry(1, 0.1, EntryState.BILLED))
    assert sums(ledger, "2026-11") == (pytest.approx(0.35), 2)


def test_reserving_twice_counts_once_and_the_newest_estimate_holds(ledger: Ledger) -> None:
    ledger.reserve(entry(1, 0.5))
    ledger.reserve(entry(1, 0.125))
    assert sums(ledger, "2026-11") == (0.125, 1)


def test_a_bill_is_neither_reserved_over_nor_withdrawn(ledger: Ledger) -> None:
    ledger.book(entry(1, 0.1, EntryState.BILLED))
    ledger.reserve(entry(1, 0.5))
    ledger.withdraw(entry(1, 0.5))
    assert list(ledger.entries("2026-11")) == [entry(1, 0.1, EntryState.BILLED)]


def test_a_withdrawn_reservation_is_gone(ledger: Ledger) -> None:
    ledger.reserve(entry(1, 0.5))
    ledger.withdraw(entry(1, 0.5))
    ledger.withdraw(entry(1, 0.5))
    assert sums(ledger, "2026-11") == (0, 0)


def test_months_do_not_meet(ledger: Ledger) -> None:
    ledger.reserve(entry(1, 0.5))
    ledger.reserve(entry(1, 0.25).model_copy(update={"day": date(2026, 12, 1)}))
    assert ledger.month_sums("2026-11").usd == 0.5
    assert ledger.month_sums("2026-12").usd == 0.25


def test_days_that_are_over_are_listed_once(cloud: LoopbackCloud, ledger: Ledger) -> None:
    today = now().date()
    for number, age in enumerate((0, 1, 2, 3, 4, 9)):
        ledger.book(entry(number, 0.25).model_copy(update={"day": today - timedelta(days=age)}))
    months = {f"{today - timedelta(days=age):%Y-%m}" for age in range(10)}
    first = [ledger.month_sums(month) for month in months]
    assert sum(one.usd for one in first) == 1.5
    with cloud.storage_server.counted() as calls:
        assert [ledger.month_sums(month) for month in months] == first
    assert len([call for call in calls if call.method == "LIST"]) == 3
    assert {call.name for call in calls if call.method == "GET"} <= {
        f"ledger-sums-by-folder/{month}.json" for month in months
    }


@pytest.mark.parametrize("change", ["book", "withdraw", "book_overhead"])
def test_a_day_that_is_over_is_summed_again_once_one_of_its_entries_changes(ledger: Ledger, change: str) -> None:
    for number in range(3):
        ledger.reserve(entry(number, 0.5))
    assert sums(ledger, "2025-11") == (0, 0)
    month = f"{entry(0, 0).day:%Y-%m}"
    assert ledger.month_sums(month).usd == 1.5
    changed = entry(2, 0.25, EntryState.BILLED) if change == "book" else entry(2, 0.5)
    if change == "book_overhead":
        assert ledger.book_overhead(entry(3, 1.0, EntryState.OVERHEAD), None)
    else:
        getattr(ledger, change)(changed)
    assert ledger.month_sums(month).usd == {"book": 1.25, "withdraw": 1.0, "book_overhead": 2.5}[change]


def test_an_overhead_is_written_in_the_place_of_what_its_writer_saw_alone(ledger: Ledger) -> None:
    first, second, third = (entry(1, usd, EntryState.OVERHEAD) for usd in (1.0, 2.0, 3.0))
    assert ledger.booked(first) is None
    assert ledger.book_overhead(first, None)
    seen = ledger.booked(first)
    assert seen is not None
    assert seen.entry == first
    assert ledger.book_overhead(second, seen)
    for late in (None, seen):
        assert not ledger.book_overhead(third, late)
    newest = ledger.booked(first)
    assert newest is not None
    assert newest.entry == second


def test_an_overhead_takes_the_place_of_what_cannot_be_read(cloud: LoopbackCloud, ledger: Ledger) -> None:
    overhead = entry(1, 1.0, EntryState.OVERHEAD)
    ledger.book_overhead(overhead, None)
    (name,) = cloud.names(STATE, "ledger/")
    blob = cloud.storage.bucket(STATE).blob(name)
    blob.metadata = {"usd": "much"}
    blob.upload_from_string(b"")
    seen = ledger.booked(overhead)
    assert seen is not None
    assert seen.entry is None
    assert ledger.book_overhead(overhead, seen)
    assert sums(ledger, f"{overhead.day:%Y-%m}")[0] == 1.0


def test_a_sum_that_cannot_be_read_is_made_again(cloud: LoopbackCloud, ledger: Ledger) -> None:
    ledger.reserve(entry(1, 0.5))
    cloud.storage.bucket(STATE).blob("ledger-sums-by-folder/2026-11.json").upload_from_string(b"{")
    for _ in range(2):
        assert sums(ledger, "2026-11") == (0.5, 1)


def test_a_day_of_many_jobs_is_listed_by_letter(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        ledger.reserve(entry(number, 0.5).model_copy(update={"day": now().date()}))
    monkeypatch.setattr("infra.emulators.storage.server.MAX_LIST_ENTRIES", 2)
    assert sums(ledger, month_of(now())) == (20, 40)
    assert len(list(ledger.entries(month_of(now())))) == 40


def test_writers_at_once_lose_nothing(ledger: Ledger) -> None:
    """Reservations, bills and second deliveries of 24 jobs in any order: the bills stand, each once."""
    tasks = [(ledger.reserve, entry(number, 9)) for number in range(24)] * 2
    tasks += [(ledger.book, entry(number, 0.5, EntryState.BILLED)) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write, one) for write, one in tasks]:
            done.result()
    assert sums(ledger, "2026-11") == (12, 24)


@pytest.mark.parametrize("before", [True, False], ids=["refused", "answer lost"])
def test_a_write_whose_answer_is_an_error_is_made_once(cloud: LoopbackCloud, ledger: Ledger, before: bool) -> None:
    cloud.storage_server.fail_next(1, method="POST", name_prefix="ledger/", before=before)
    ledger.reserve(entry(1, 0.5))
    cloud.storage_server.fail_next(1, method="POST", name_prefix="ledger/", before=before)
    ledger.book(entry(1, 0.25, EntryState.BILLED))
    assert sums(ledger, "2026-11") == (0.25, 1)


@pytest.mark.parametrize("metadata", [{}, {"usd": "a lot", "state": "billed"}])
def test_an_entry_that_cannot_be_read_is_left_out(
    cloud: LoopbackCloud, ledger: Ledger, caplog: pytest.LogCaptureFixture, metadata: dict[str, str]
) -> None:
    ledger.reserve(entry(1, 0.5))
    blob = cloud.storage.bucket(STATE).blob("ledger/2026-11/21/abc")
    blob.metadata = metadata
    blob.upload_from_string(b"")
    assert sums(ledger, "2026-11") == (0.5, 1)
    assert [one.usd for one in ledger.entries("2026-11")] == [0.5]
    assert [one.message for one in caplog.records] == ["unreadable ledger entry"] * 2


def test_a_job_is_booked_on_the_day_its_upload_was_received() -> None:
    late = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert reservation(record(at=late), 0.5).day == date(2026, 11, 30)
    assert month_of(late) == "2026-11"


@pytest.mark.parametrize(("name", "folder"), [("a.mp3", ""), ("calls/a.mp3", "calls"), ("é/b/c.mp3", "é"), ("/a", "")])
def test_the_first_folder_groups(name: str, folder: str) -> None:
    assert folder_of(name) == folder


def message(**changes: object) -> TerminalMessage:
    upload = Upload(bucket="uploads", name="calls/a.mp3", generation=7)
    shape = JobShape(gpu="nvidia-l4", vcpu=8, memory_gib=32)
    book = price_book()
    bill = instance_bill(shape, {Phase.START_UP: 10, Phase.WAITING: 5, Phase.TRANSCRIPTION: 20}, book)
    bill += deepgram_bill("nova-3", 60, 0, book)
    usual = {
        "event_id": event_id(upload.job_id),
        "job_id": upload.job_id,
        "upload": upload,
        "outcome": Outcome.COMPLETED,
        "decision": Decision(method=Method.PARAKEET, rule="small", reason="Small."),
        "media": MEDIA,
        "engines": (Engine.PARAKEET_GPU,),
        "bill": bill,
        "saving": Saving(deepgram_model="nova-3", deepgram_usd=0.043, bill_usd=bill.usd),
        "execution": "gpu-abcde",
        "received_at": AT,
        "finished_at": now(),
    }
    return TerminalMessage.model_validate({**usual, **changes})


def test_a_bill_is_booked_by_what_it_went_to() -> None:
    # One second of the shape: 0.0001867 + 8 x 0.000018 + 32 x 0.000002 = $0.0003947.
    one = billed(message())
    assert (one.state, one.day, one.folder) == (EntryState.BILLED, date(2026, 11, 21), "calls")
    assert (one.method, one.execution, one.audio_seconds) == (Method.PARAKEET, "gpu-abcde", 600)
    assert one.usd == pytest.approx(35 * 0.0003947 + 0.0043)
    assert one.start_up_usd == pytest.approx(10 * 0.0003947)
    assert one.waiting_usd == pytest.approx(5 * 0.0003947)
    assert one.cpu_usd == pytest.approx(35 * 8 * 0.000018)
    assert one.api_usd == pytest.approx(0.0043)
    assert one.deepgram_usd == 0.043


def test_a_failed_jobs_real_cost_stays_but_its_audio_does_not_count() -> None:
    one = billed(message(outcome=Outcome.FAILED, saving=None, engines=()))
    assert one.usd > 0
    assert (one.audio_seconds, one.deepgram_usd) == (0, 0)


@pytest.mark.parametrize(
    ("rule", "method", "chunks", "fallbacks"),
    [
        ("small", Method.PARAKEET, 0, 0),
        ("small", Method.PARAKEET, 3, 3),
        ("medium", Method.HYBRID, 0, 0),
        ("requested-fallback", Method.PARAKEET, 0, 1),
        ("small-fallback", Method.DEEPGRAM, 0, 1),
    ],
)
def test_engines_that_stepped_in_are_counted(rule: str, method: Method, chunks: int, fallbacks: int) -> None:
    decision = Decision(method=method, rule=rule, reason="So.")
    assert billed(message(decision=decision, fallbacks=chunks)).fallbacks == fallbacks


def test_an_executions_rest_is_money_but_no_job(ledger: Ledger) -> None:
    ledger.book(overhead("gpu-abcde/0/0", AT, 0.25))
    ledger.book(overhead("gpu-abcde/0/0", AT, 0.25))
    ledger.reserve(entry(1, 0.5))
    assert sums(ledger, "2026-11") == (0.75, 1)


@given(
    usd=st.floats(0, 1e6),
    folder=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40),
    method=st.sampled_from([None, *Method]),
    fallbacks=st.integers(0, 9),
)
def test_figures_come_back_from_metadata_as_they_went(
    usd: float, folder: str, method: Method | None, fallbacks: int
) -> None:
    one = Entry(
        id="ab",
        state=EntryState.BILLED,
        day=date(2026, 2, 28),
        usd=usd,
        folder=folder,
        method=method,
        fallbacks=fallbacks,
    )
    assert Entry.model_validate({**one.metadata(), "id": "ab"}) == one
