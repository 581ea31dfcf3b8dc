"""The month's budget: what is left, and how far instances that reserve at once can pass it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from shared.media import Upload
from shared.state.jobs.record import JobRecord, JobState
from shared.state.ledger import Ledger
from shared.state.ledger_entry import EntryState, reservation
from tests.support.loopback_cloud import STATE, LoopbackCloud
from trigger_function.budget import TRUSTED_SHARE, Budget, refusal

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH = "2026-11"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def record(name: str, at: datetime = AT) -> JobRecord:
    upload = Upload(bucket="uploads", name=name, generation=1)
    return JobRecord(upload=upload, state=JobState.CLAIMED, holder="me", lease_until=at, received_at=at)


@pytest.fixture
def ledger(cloud: LoopbackCloud) -> Ledger:
    return Ledger(cloud.storage.bucket(STATE))


def test_without_a_budget_nothing_is_listed_or_reserved(cloud: LoopbackCloud, ledger: Ledger) -> None:
    budget = Budget(ledger, None, 60)
    assert budget.left(AT) is None
    assert budget.reserve(record("a"), 1000)
    assert cloud.names(STATE) == []


def test_what_is_reserved_is_not_left(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 60)
    assert budget.left(AT) == 10
    assert budget.reserve(record("a"), 4)
    assert budget.left(AT) == 6
    assert Budget(ledger, 10, 60).left(AT) == 6


def test_a_bill_gives_back_what_was_reserved_too_much(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 0)
    assert budget.reserve(record("a"), 4)
    ledger.book(reservation(record("a"), 1).model_copy(update={"state": EntryState.BILLED}))
    assert budget.left(AT) == 9


def test_what_would_pass_the_budget_is_refused_and_not_held(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 60)
    assert budget.reserve(record("a"), 8)
    assert not budget.reserve(record("b"), 2.5)
    assert budget.left(AT) == 2
    assert budget.reserve(record("b"), 2)
    assert budget.left(AT) == 0


def test_a_job_that_is_reserved_again_is_held_once(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 60)
    assert budget.reserve(record("a"), 6)
    assert budget.reserve(record("a"), 6)
    assert Budget(ledger, 10, 60).reserve(record("a"), 7)
    assert Budget(ledger, 10, 60).left(AT) == 3


def test_others_reservations_are_seen_when_the_cache_is_old(ledger: Ledger) -> None:
    clock = Clock()
    mine, others = Budget(ledger, 10, 60, clock), Budget(ledger, 10, 60, clock)
    assert mine.left(AT) == 10
    assert others.reserve(record("a"), 4)
    clock.seconds = 59
    assert mine.left(AT) == 10
    clock.seconds = 60
    assert mine.left(AT) == 6


def test_near_the_limit_a_remembered_sum_is_not_trusted(ledger: Ledger) -> None:
    mine, others = Budget(ledger, 10, 1e9), Budget(ledger, 10, 1e9)
    assert mine.left(AT) == 10
    assert others.reserve(record("a"), 8)
    # Mine still believes that all is left; with 9.5 it would come near the limit, so it looks.
    assert not mine.reserve(record("b"), 9.5)
    assert mine.left(AT) == 2


def test_months_have_budgets_of_their_own(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 60)
    december = datetime(2026, 12, 1, tzinfo=UTC)
    assert budget.reserve(record("a"), 8)
    assert budget.reserve(record("b", december), 8)
    assert (budget.left(AT), budget.left(december)) == (2, 2)


def test_a_month_counts_its_jobs_with_or_without_a_budget(ledger: Ledger) -> None:
    ledger.reserve(reservation(record("a"), 0.0))
    assert Budget(ledger, None, 60).jobs(AT) == 1


def test_a_folder_has_a_budget_of_its_own_beside_the_months(ledger: Ledger) -> None:
    budget = Budget(ledger, 10, 60, folders={"calls": 3})
    assert budget.left(AT, "calls") == 3
    assert budget.reserve(record("calls/a"), 2)
    assert not budget.reserve(record("calls/b"), 1.5)
    assert (budget.left(AT, "calls"), budget.left(AT, "films"), budget.left(AT)) == (1, 8, 8)
    assert "folder calls of $3.00 for 2026-11 has $1.00 left" in budget.refusal(record("calls/b"), 1.5)
    assert budget.reserve(record("films/a"), 7.5)
    # Of both limits the one with less left counts.
    assert budget.left(AT, "calls") == 0.5
    assert "The budget of $10.00 for" in budget.refusal(record("calls/b"), 1)


def test_a_folders_budget_needs_no_budget_of_the_month(ledger: Ledger) -> None:
    budget = Budget(ledger, None, 60, folders={"calls": 3})
    assert budget.reserve(record("films/a"), 1000)
    assert budget.left(AT, "films") is None
    assert budget.reserve(record("calls/a"), 3)
    assert not Budget(ledger, None, 60, folders={"calls": 3}).reserve(record("calls/b"), 0.01)


def test_to_erase_a_recording_gives_its_folder_no_money_back(ledger: Ledger) -> None:
    entry = reservation(record("calls/a"), 2)
    ledger.reserve(entry)
    assert ledger.erase_folder(entry.day, entry.id)
    assert Budget(ledger, None, 0, folders={"calls": 3}).left(AT, "calls") == 1


def test_a_refusal_names_the_sums() -> None:
    assert refusal(0.4, 9.88, 10, MONTH) == (
        "The budget of $10.00 for 2026-11 has $0.12 left ($9.88 spent or reserved), "
        "and the file would cost about $0.40."
    )


def spend(budgets: list[Budget], uploads: int, usd: float) -> Iterator[float]:
    """Every instance takes its own uploads, all at once; the dollars that each upload was allowed."""
    ready = threading.Barrier(len(budgets))

    def instance(number: int) -> float:
        ready.wait()
        taken = [budgets[number].reserve(record(f"{number}/{upload}"), usd) for upload in range(uploads)]
        return usd * sum(taken)

    with ThreadPoolExecutor(len(budgets)) as pool:
        yield from pool.map(instance, range(len(budgets)))


def test_instances_that_always_look_never_pass_the_budget(ledger: Ledger) -> None:
    allowed = sum(spend([Budget(ledger, 1.0, 0) for _ in range(6)], uploads=5, usd=0.0625))
    assert ledger.month_sums(MONTH).usd == pytest.approx(allowed)
    # Two at the limit may both step back; then others come. 30 uploads of a sixteenth want far more than there is.
    assert 0.5 < allowed <= 1.0


def test_an_instance_that_remembers_spends_at_most_as_if_it_were_alone(ledger: Ledger) -> None:
    """The worst case: no memory ever runs out, so R of the bound is all that is reserved."""
    budgets = [Budget(ledger, 1.0, 1e9) for _ in range(4)]
    assert {budget.left(AT) for budget in budgets} == {1.0}
    each = list(spend(budgets, uploads=6, usd=0.25))
    assert max(each) <= 1.0
    assert sum(usd > TRUSTED_SHARE for usd in each) <= 1
    # Whoever looked knows better now, and whoever comes new sees all.
    assert not any(budget.reserve(record("late"), 0.25) for budget in [*budgets, Budget(ledger, 1.0, 1e9)])


def test_below_a_tenth_of_the_budget_in_a_window_nothing_passes_it(ledger: Ledger) -> None:
    """Instances take turns; each remembers for as long as all of them reserve a tenth of the budget."""
    clock = Clock()
    budgets = [Budget(ledger, 1.0, 10.0, clock) for _ in range(3)]
    for upload in range(60):
        # A fiftieth every 2 s: a tenth of the budget in each 10 s.
        clock.seconds = 2.0 * upload
        budgets[upload % 3].reserve(record(str(upload)), 0.02)
    assert 0.96 <= ledger.month_sums(MONTH).usd <= 1.0 + 1e-9
