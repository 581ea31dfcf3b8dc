"""A month's report and advice, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from infra.cli.advice import advice, batch_more, long_to_parakeet, raise_shape, short_to_deepgram
from infra.cli.cost_options import GroupBy
from infra.cli.cost_report import cost_report, forecast, totals_of
from shared.enums import Method
from shared.state.ledger_entry import Entry, EntryState

DAY_16 = datetime(2026, 11, 16, tzinfo=UTC)
"""Half of November is over."""


def entry(number: int = 0, state: EntryState = EntryState.BILLED, **figures: Any) -> Entry:
    usual = {"day": date(2026, 11, 3), "method": Method.PARAKEET, "usd": 0.1}
    return Entry(id=f"{number:024x}", state=state, **{**usual, **figures})


MONTH = [
    entry(1, usd=0.25, audio_seconds=3600, deepgram_usd=0.5, start_up_usd=0.1, folder="calls"),
    entry(2, usd=0.75, audio_seconds=7200, deepgram_usd=1.5, fallbacks=1, folder="calls", day=date(2026, 11, 4)),
    entry(3, usd=0.5, audio_seconds=3600, deepgram_usd=0.5, method=Method.DEEPGRAM, api_usd=0.5),
    entry(4, usd=0.25, method=None),
    entry(5, EntryState.OVERHEAD, usd=0.25, method=None),
    entry(6, EntryState.RESERVED, usd=1.0, audio_seconds=999, folder="calls"),
]


def test_totals_by_hand() -> None:
    totals = totals_of(MONTH)
    assert (totals.uploads, totals.audio_seconds, totals.uploads_with_fallback) == (4, 4 * 3600, 1)
    assert (totals.usd, totals.reserved_usd, totals.deepgram_usd, totals.start_up_usd) == (2.0, 1.0, 2.5, 0.1)
    assert totals.usd_per_audio_hour == 0.5
    assert (totals.saving_usd, totals.saving_share) == (0.5, 0.2)
    assert (totals.start_up_share, totals.fallback_rate) == (0.05, 0.25)


def test_nothing_has_no_averages() -> None:
    totals = totals_of([])
    assert (totals.usd, totals.usd_per_audio_hour, totals.saving_share, totals.fallback_rate) == (0, None, None, None)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (GroupBy.DAY, {"2026-11-03": 1.25, "2026-11-04": 0.75}),
        (GroupBy.METHOD, {"deepgram": 0.5, "none": 0.5, "parakeet": 1.0}),
        (GroupBy.PREFIX, {"/": 1.0, "calls/": 1.0}),
    ],
)
def test_groups_add_up_to_the_month(by: GroupBy, groups: dict[str, float]) -> None:
    costs = cost_report(MONTH, "2026-11", DAY_16, by)
    assert {key: totals.usd for key, totals in costs.groups.items()} == groups
    assert sum(groups.values()) == costs.totals.usd


def test_the_method_distribution_counts_what_was_billed() -> None:
    methods = cost_report(MONTH, "2026-11", DAY_16).methods
    assert {key: totals.uploads for key, totals in methods.items()} == {"deepgram": 1, "none": 1, "parakeet": 2}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (DAY_16, 6.0),
        (datetime(2026, 11, 2, tzinfo=UTC), 90.0),
        (datetime(2026, 11, 1, 23, tzinfo=UTC), None),
        (datetime(2027, 1, 9, tzinfo=UTC), 3.0),
    ],
    ids=["half", "a day", "less than a day", "over"],
)
def test_the_forecast_goes_on_at_the_pace_so_far(at: datetime, expected: float | None) -> None:
    assert forecast(3.0, "2026-11", at) == expected


def test_the_reports_forecast_counts_what_is_reserved() -> None:
    assert cost_report(MONTH, "2026-11", DAY_16).forecast_usd == 6.0


def test_short_files_alone_in_an_execution_save_it_whole() -> None:
    # Alone: $0.014 against $0.004. In company: its batches cost $0.001, less than Deepgram; the start-up stays.
    alone = entry(1, usd=0.014, audio_seconds=50, deepgram_usd=0.004, start_up_usd=0.01, execution="gpu-1")
    short = entry(2, usd=0.004, audio_seconds=50, deepgram_usd=0.004, start_up_usd=0.003, execution="gpu-2")
    long = entry(3, usd=0.020, audio_seconds=6000, deepgram_usd=0.43, start_up_usd=0.005, execution="gpu-2")
    found = short_to_deepgram([alone, long])
    assert found is not None
    assert found.saving_usd == pytest.approx(0.010)
    assert "under 1 min" in found.action
    # 0.010 - (0.004 - 0.001) of the one that has company.
    found = short_to_deepgram([alone, short, long])
    assert found is not None
    assert found.saving_usd == pytest.approx(0.007)
    assert short_to_deepgram([short, long]) is None


def test_long_files_at_deepgram_cost_more_than_parakeets_hours() -> None:
    parakeet = [entry(number, usd=0.01, audio_seconds=3600) for number in range(10)]
    long = entry(20, usd=0.5, audio_seconds=7200, method=Method.DEEPGRAM, api_usd=0.5)
    # Parakeet: 1 cent an hour; two hours instead of $0.50.
    found = long_to_parakeet([*parakeet, long])
    assert found is not None
    assert found.saving_usd == pytest.approx(0.48)
    assert long_to_parakeet([*parakeet[:9], long]) is None
    assert long_to_parakeet(parakeet) is None


def test_half_as_many_executions_save_half_of_the_starts() -> None:
    served = [entry(number, usd=0.02, start_up_usd=0.01, execution=f"gpu-{number % 2}") for number in range(6)]
    found = batch_more(served, 0.02)
    assert found is not None
    assert found.saving_usd == pytest.approx((0.06 + 0.02) / 2)
    assert "3.0 shared an execution" in found.action
    assert batch_more(served[:1], 0) is None


def test_more_vcpus_pay_only_where_waiting_is_most_of_the_bill() -> None:
    # $1.00, of which $0.80 waiting and $0.20 for vCPUs: (1 - 0.4) x 1.2 = $0.72.
    found = raise_shape([entry(usd=1.0, waiting_usd=0.8, cpu_usd=0.2)])
    assert found is not None
    assert found.saving_usd == pytest.approx(0.28)
    # (1 - 0.1) x 1.2 = $1.08.
    found = raise_shape([entry(usd=1.0, waiting_usd=0.2, cpu_usd=0.2)])
    assert found is not None
    assert found.saving_usd == pytest.approx(-0.08)


def test_advice_that_saves_nothing_worth_is_not_given() -> None:
    assert advice([entry(usd=1.0, waiting_usd=0.2, cpu_usd=0.2)]) == []
    assert advice([]) == []


def test_the_largest_saving_comes_first() -> None:
    lone = [
        entry(n, usd=0.014, audio_seconds=50, deepgram_usd=0.004, start_up_usd=0.01, execution=f"gpu-{n}")
        for n in range(4)
    ]
    savings = [one.saving_usd for one in advice(lone)]
    # All to Deepgram: 4 x 0.010. Half the executions: 4 x 0.01 / 2.
    assert savings == pytest.approx([0.04, 0.02])
