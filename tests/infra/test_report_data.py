"""What the report says of a month, against figures worked out by hand and against `dropscribe costs`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from infra.cli.cost_options import GroupBy
from infra.cli.cost_report import cost_report
from infra.cli.report.data import DecisionSums, Distribution, ReportData, Speed, report_data
from infra.cli.report.page import report_page
from shared.enums import Method, Outcome
from shared.messages import TerminalMessage
from shared.state.ledger_entry import Entry, overhead
from shared.transcript.model import Gap
from tests.support.ended_jobs_of_month import DAY_16, MONTH, REASON, ended_job, lines_of, waiting_job

GAP = Gap(start=10, end=40, reason="The file is damaged here.")
JOBS = (
    ended_job(1, usd=0.25, audio_seconds=600, work_seconds=60, wait_seconds=10),
    ended_job(2, day=4, usd=0.75, audio_seconds=1200, work_seconds=60, wait_seconds=30, gaps=(GAP,)),
    ended_job(3, method=Method.DEEPGRAM, usd=0.5, audio_seconds=600, work_seconds=6, wait_seconds=1, rule="short"),
    ended_job(4, name="top.mp3", method=None, outcome=Outcome.REJECTED, reason="It has no audio track."),
    ended_job(5, usd=0.05, outcome=Outcome.FAILED, reason="The model crashed.", rule="gpu-fallback"),
)


def report_of(*jobs: TerminalMessage, at: datetime = DAY_16, budget_usd: float | None = None) -> ReportData:
    entries, known = lines_of(*jobs)
    return report_data(entries, known, MONTH, at, budget_usd=budget_usd)


def month() -> tuple[list[Entry], ReportData]:
    """A month with everything in it."""
    entries, known = lines_of(*JOBS)
    waiting, record = waiting_job(6, usd=1.0)
    entries += [waiting, overhead("execution/0/0", datetime(2026, 11, 4, tzinfo=UTC), 0.125)]
    return entries, report_data(entries, {**known, waiting.id: record}, MONTH, DAY_16, budget_usd=4.0)


def test_every_sum_is_that_of_dropscribe_costs() -> None:
    entries, data = month()
    for by, groups in ((GroupBy.DAY, data.days), (GroupBy.METHOD, data.methods), (GroupBy.PREFIX, data.folders)):
        costs = cost_report(entries, MONTH, DAY_16, by)
        assert groups == costs.groups
        assert (data.totals, data.budget.forecast_usd) == (costs.totals, costs.forecast_usd)
        for name in ("usd", "reserved_usd", "deepgram_usd", "audio_seconds"):
            assert sum(getattr(one, name) for one in groups.values()) == pytest.approx(getattr(data.totals, name))
    in_days = sum(usd for methods in data.methods_by_day.values() for usd in methods.values())
    assert in_days == pytest.approx(data.totals.usd + data.totals.reserved_usd)
    assert sum(row.usd for row in data.jobs) == pytest.approx(in_days - 0.125)


def test_speed_wait_coverage_and_outcomes_by_hand() -> None:
    _, data = month()
    assert data.wait_seconds == Distribution(3, 10.0, pytest.approx(26.0), 30.0)
    assert data.speed == Distribution(3, 20.0, pytest.approx(84.0), 100.0)
    assert data.speeds == {"deepgram": Speed(1, 600, 6), "parakeet on the GPU": Speed(2, 1800, 120)}
    assert data.speeds["parakeet on the GPU"].x_real_time == 15
    assert (data.coverage.speech_seconds, data.coverage.covered_seconds) == (1200, 1170)
    assert (data.coverage.share, data.coverage.gaps, data.coverage.gap_seconds) == (0.975, 1, 30)
    assert data.outcomes == {"completed": 3, "failed": 1, "rejected": 1}
    assert (data.totals.uploads, data.totals.uploads_with_fallback, data.fallbacks) == (5, 1, 1)


def test_decisions_are_counted_by_rule_and_method() -> None:
    _, data = month()
    assert data.decisions == [
        DecisionSums("cheapest", "parakeet on the GPU", 3, pytest.approx(2.0), REASON),
        DecisionSums("gpu-fallback", "parakeet on the GPU", 1, pytest.approx(0.05), REASON),
        DecisionSums("short", "deepgram", 1, pytest.approx(0.5), REASON),
    ]


def test_jobs_come_newest_first_and_say_no_more_than_is_known() -> None:
    _, data = month()
    waiting, second, *_, rejected = data.jobs
    assert (waiting.state, waiting.audio_seconds, waiting.x_real_time, waiting.day) == (
        "not done",
        0,
        None,
        "2026-11-15",
    )
    assert (second.name, second.coverage, second.gaps) == ("calls/2.mp3", pytest.approx(0.95), 1)
    rejected = next(row for row in data.jobs if row.state == "rejected")
    assert (rejected.method, rejected.decision, rejected.reason) == ("none", None, "It has no audio track.")
    assert (rejected.wait_seconds, rejected.coverage, rejected.deepgram_usd) == (None, None, None)


def test_a_line_of_which_nothing_else_is_known() -> None:
    entries, _ = lines_of(JOBS[0])
    data = report_data(entries, {}, MONTH, DAY_16)
    (row,) = data.jobs
    assert (row.name, row.state, row.usd, row.method) == (None, "ended", 0.25, "parakeet on the GPU")
    assert (data.speed, data.wait_seconds, data.outcomes, data.decisions) == (None, None, {}, [])


def test_a_rerun_is_a_row_of_its_own() -> None:
    data = report_of(ended_job(1), ended_job(1, run=2, usd=0.5))
    assert [row.id for row in data.jobs] == [f"{JOBS[0].job_id}.2", JOBS[0].job_id]
    assert data.totals.usd == 0.75


def test_an_empty_month() -> None:
    data = report_of()
    assert (data.totals.usd, data.days, data.jobs, data.speed, data.coverage.share) == (0, {}, [], None, None)
    assert "The ledger has nothing of this month." in report_page(data)


def test_rejected_and_failed_alone() -> None:
    data = report_of(JOBS[3], JOBS[4])
    assert (data.totals.usd, data.totals.audio_seconds) == (0.05, 0)
    assert (data.totals.saving_share, data.totals.usd_per_audio_hour, data.speed) == (None, None, None)
    page = report_page(data)
    assert "nothing was transcribed" in page
    assert "no price of Deepgram" in page


def test_a_month_without_deepgrams_price_shows_no_saving() -> None:
    data = report_of(ended_job(1, deepgram_usd=None))
    assert (data.unpriced, data.totals.saving_share, data.jobs[0].deepgram_usd) == (1, None, None)
    page = report_page(data)
    assert "no price of Deepgram's is known" in page.replace("&#39;", "'")
    assert "$-" not in page


def test_a_transcript_that_nobody_compared_with_its_audio_is_no_coverage() -> None:
    data = report_of(ended_job(1, audited=False), ended_job(2))
    assert (data.coverage.audited, data.coverage.unaudited, data.coverage.speech_seconds) == (1, 1, 300)
    assert [row.coverage for row in data.jobs] == [1.0, None]


@pytest.mark.parametrize(
    ("budget_usd", "at", "reached_on"),
    [
        (None, DAY_16, None),
        # 1.25 of a dollar a fortnight: 1.50 comes after 18 days, 2.50 with the month's end.
        (1.5, DAY_16, date(2026, 11, 19)),
        (2.5, DAY_16, None),
        # Spent on the third; on its own day, and in the past.
        (0.5, DAY_16, date(2026, 11, 3)),
        (1.25, DAY_16, date(2026, 11, 4)),
        (1.5, datetime(2026, 11, 1, 12, tzinfo=UTC), None),
        (1.5, datetime(2026, 12, 1, tzinfo=UTC), None),
        (0.0, DAY_16, date(2026, 11, 3)),
    ],
)
def test_when_the_budget_is_used_up(budget_usd: float | None, at: datetime, reached_on: date | None) -> None:
    data = report_of(ended_job(1, usd=0.5), ended_job(2, day=4, usd=0.75), at=at, budget_usd=budget_usd)
    assert data.budget.reached_on == reached_on


def test_a_budget_of_nothing_in_an_empty_month() -> None:
    assert report_of(budget_usd=0.0).budget.reached_on == date(2026, 11, 1)
