"""A month's ledger and outcomes -> what the report shows. Pure.

All sums of money are those of `dropscribe costs`: the same functions over the same entries.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import median, quantiles

from infra.cli.advice import Advice, advice
from infra.cli.cost_options import GroupBy
from infra.cli.cost_report import Totals, cost_report, grouped
from shared.costs.quote import way_label
from shared.messages import CoverageSummary, Decision, TerminalMessage
from shared.state.jobs.record import JobRecord
from shared.state.ledger_entry import Entry, EntryState

MADE_FOR_NO_UPLOAD = "none"
"""The group of what has no method: uploads that were rejected, and time of executions that is on no upload's bill."""


@dataclass(frozen=True)
class Known:
    """What the state bucket holds of a line of the ledger: of a job that ended its outcome, of others the record."""

    outcome: TerminalMessage | None = None
    record: JobRecord | None = None


@dataclass(frozen=True)
class JobRow:
    """A line of the ledger that is a job. None where nobody knows, or where it does not apply."""

    id: str
    """Of the line: the job's id, of a re-run `<job>.2`."""
    day: str
    """When the upload was received, in UTC."""
    name: str | None
    folder: str
    state: str
    """Its outcome; `not done` while the ledger holds a reservation."""
    reason: str | None
    """Why there is no transcript, or no whole one."""
    method: str
    rule: str | None
    decision: str | None
    """Why it was decided so, in one sentence."""
    engines: tuple[str, ...]
    audio_seconds: float
    """Audio that was transcribed."""
    usd: float
    """Billed, or reserved."""
    deepgram_usd: float | None
    """The same audio at Deepgram's price."""
    possibly_usd: float
    start_up_usd: float
    wait_seconds: float | None
    work_seconds: float | None
    x_real_time: float | None
    coverage: float | None
    """Share of the speech that has words; None: not compared with the audio, or no speech."""
    gaps: int | None
    fallbacks: int


@dataclass(frozen=True)
class Distribution:
    """Some numbers in four."""

    count: int
    median: float
    ninth_decile: float
    """Nine tenths of them are at most so much."""
    largest: float


@dataclass(frozen=True)
class Speed:
    """How fast jobs of a method were."""

    jobs: int
    audio_seconds: float
    work_seconds: float
    """From the start of each job's work to its outcome; of jobs beside each other the sum."""

    @property
    def x_real_time(self) -> float | None:
        """Audio in a second of work."""
        return self.audio_seconds / self.work_seconds if self.work_seconds > 0 else None


@dataclass(frozen=True)
class CoverageSums:
    """How much of the speech of all transcripts has words."""

    audited: int
    """Transcripts that were compared with their audio; the other figures are of these."""
    unaudited: int
    speech_seconds: float
    covered_seconds: float
    gaps: int
    gap_seconds: float

    @property
    def share(self) -> float | None:
        """Of the speech that was found; None where there was none."""
        return self.covered_seconds / self.speech_seconds if self.speech_seconds > 0 else None


@dataclass(frozen=True)
class DecisionSums:
    """Jobs that one rule sent one way."""

    rule: str
    method: str
    jobs: int
    usd: float
    example: str
    """The reason that the last of them was given."""


@dataclass(frozen=True)
class Budget:
    """The month's budget beside what is spent and reserved, and what the month will come to at this pace."""

    usd: float | None
    """None: no budget was named."""
    used_usd: float
    forecast_usd: float | None
    """None in the month's first day."""
    reached_on: date | None
    """When this pace comes to the budget, or came to it; None: not in this month, or nobody can tell."""


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows."""

    month: str
    as_of: datetime
    totals: Totals
    days: Mapping[str, Totals]
    methods: Mapping[str, Totals]
    folders: Mapping[str, Totals]
    methods_by_day: Mapping[str, Mapping[str, float]]
    """Dollars, reservations included, of each method on each day of the month that has any."""
    unpriced: int
    """Jobs with a transcript for which the ledger has no price of Deepgram."""
    outcomes: Mapping[str, int]
    """Jobs of each outcome, as far as their outcomes can be read."""
    wait_seconds: Distribution | None
    """From the event to the start of the work, of jobs that some engine worked on."""
    speed: Distribution | None
    """Times real time of each job."""
    speeds: Mapping[str, Speed]
    """By method."""
    coverage: CoverageSums
    fallbacks: int
    """How often another engine had to step in."""
    decisions: Sequence[DecisionSums]
    """The most frequent first."""
    budget: Budget
    advice: Sequence[Advice]
    jobs: Sequence[JobRow]
    """The newest day first."""


def report_data(
    entries: Sequence[Entry],
    known: Mapping[str, Known],
    month: str,
    at: datetime,
    *,
    budget_usd: float | None = None,
) -> ReportData:
    """A month's entries, and what is known of them by their ids -> its report, as of `at`.

    `month`: `2026-11`. What nobody knows stays None: nothing is estimated but the forecast, which is that of
    `dropscribe costs`.
    """
    costs = cost_report(entries, month, at)
    lines = [(entry, known.get(entry.id, Known())) for entry in entries if entry.state is not EntryState.OVERHEAD]
    ended = [(entry, each.outcome) for entry, each in lines if each.outcome is not None]
    worked = [(entry, outcome) for entry, outcome in ended if outcome.engines]
    rows = [_row(entry, each) for entry, each in lines]
    used = costs.totals.usd + costs.totals.reserved_usd
    return ReportData(
        month=month,
        as_of=at,
        totals=costs.totals,
        days=grouped(entries, GroupBy.DAY),
        methods=grouped(entries, GroupBy.METHOD),
        folders=grouped(entries, GroupBy.PREFIX),
        methods_by_day=_methods_by_day(entries),
        unpriced=sum(_is_unpriced(entry) for entry in entries),
        outcomes=_counts(outcome.outcome.value for _, outcome in ended),
        wait_seconds=_distribution(outcome.wait_seconds for _, outcome in worked),
        speed=_distribution(row.x_real_time for row in rows if row.x_real_time is not None),
        speeds=_speeds(worked),
        coverage=_coverage([outcome.coverage for _, outcome in ended if outcome.coverage is not None]),
        fallbacks=sum(entry.fallbacks for entry in entries),
        decisions=_decisions(lines),
        budget=Budget(budget_usd, used, costs.forecast_usd, _reached_on(used, budget_usd, month, at, entries)),
        advice=advice(entries),
        jobs=sorted(rows, key=lambda row: (row.day, row.name or "", row.id), reverse=True),
    )


def _row(entry: Entry, known: Known) -> JobRow:
    outcome, decision = known.outcome, _decision(known)
    upload = outcome.upload if outcome else known.record.upload if known.record else None
    worked = outcome if outcome is not None and outcome.engines else None
    coverage = outcome.coverage if outcome else None
    reserved = entry.state is EntryState.RESERVED
    return JobRow(
        id=entry.id,
        day=entry.day.isoformat(),
        name=upload.name if upload else None,
        folder=entry.folder,
        state="not done" if reserved else outcome.outcome.value if outcome else "ended",
        reason=outcome.reason if outcome else known.record.last_error if known.record else None,
        method=_method(entry),
        rule=decision.rule if decision else None,
        decision=decision.reason if decision else None,
        engines=tuple(outcome.engines) if outcome else (),
        audio_seconds=0.0 if reserved else entry.audio_seconds,
        usd=entry.usd,
        deepgram_usd=entry.deepgram_usd if entry.deepgram_usd > 0 else None,
        possibly_usd=entry.possibly_usd,
        start_up_usd=entry.start_up_usd,
        wait_seconds=worked.wait_seconds if worked else None,
        work_seconds=worked.work_seconds if worked else None,
        x_real_time=_x_real_time(entry, worked),
        coverage=coverage.share if coverage and coverage.audited and coverage.speech_seconds > 0 else None,
        gaps=coverage.gap_count if coverage else None,
        fallbacks=entry.fallbacks,
    )


def _x_real_time(entry: Entry, worked: TerminalMessage | None) -> float | None:
    if worked is None or worked.work_seconds <= 0 or entry.audio_seconds <= 0:
        return None
    return entry.audio_seconds / worked.work_seconds


def _method(entry: Entry) -> str:
    return way_label(entry.method, entry.device) if entry.method else MADE_FOR_NO_UPLOAD


def _decision(known: Known) -> Decision | None:
    if known.outcome is not None:
        return known.outcome.decision
    return known.record.decision if known.record else None


def _is_unpriced(entry: Entry) -> bool:
    return entry.state is EntryState.BILLED and entry.audio_seconds > 0 and entry.deepgram_usd <= 0


def _methods_by_day(entries: Iterable[Entry]) -> dict[str, dict[str, float]]:
    days: dict[str, dict[str, float]] = {}
    for entry in entries:
        methods = days.setdefault(entry.day.isoformat(), {})
        methods[_method(entry)] = methods.get(_method(entry), 0.0) + entry.usd
    return {day: days[day] for day in sorted(days)}


def _counts(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return {name: counts[name] for name in sorted(counts)}


def _distribution(numbers: Iterable[float]) -> Distribution | None:
    known = sorted(numbers)
    if not known:
        return None
    ninth = known[0] if len(known) == 1 else quantiles(known, n=10, method="inclusive")[-1]
    return Distribution(len(known), median(known), ninth, known[-1])


def _speeds(worked: Iterable[tuple[Entry, TerminalMessage]]) -> dict[str, Speed]:
    speeds: dict[str, Speed] = {}
    for entry, outcome in worked:
        if entry.audio_seconds > 0:
            before = speeds.get(_method(entry), Speed(0, 0.0, 0.0))
            speeds[_method(entry)] = Speed(
                before.jobs + 1,
                before.audio_seconds + entry.audio_seconds,
                before.work_seconds + outcome.work_seconds,
            )
    return {method: speeds[method] for method in sorted(speeds)}


def _coverage(known: Sequence[CoverageSummary]) -> CoverageSums:
    audited = [one for one in known if one.audited]
    return CoverageSums(
        audited=len(audited),
        unaudited=len(known) - len(audited),
        speech_seconds=sum(one.speech_seconds for one in audited),
        covered_seconds=sum(one.covered_seconds for one in audited),
        gaps=sum(one.gap_count for one in audited),
        gap_seconds=sum(one.gap_seconds for one in audited),
    )


def _decisions(lines: Iterable[tuple[Entry, Known]]) -> list[DecisionSums]:
    sums: dict[tuple[str, str], DecisionSums] = {}
    for entry, known in sorted(lines, key=lambda line: (line[0].day, line[0].id)):
        if (decision := _decision(known)) is None:
            continue
        before = sums.get(key := (decision.rule, decision.label))
        sums[key] = DecisionSums(
            *key,
            jobs=1 + (before.jobs if before else 0),
            usd=entry.usd + (before.usd if before else 0.0),
            example=decision.reason,
        )
    return sorted(sums.values(), key=lambda one: (-one.jobs, one.rule, one.method))


def _reached_on(
    used_usd: float, budget_usd: float | None, month: str, at: datetime, entries: Iterable[Entry]
) -> date | None:
    """The day on which the budget is used up, or was, by the days that uploads were received on."""
    if budget_usd is None:
        return None
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    if used_usd >= budget_usd:
        sum_usd, day = 0.0, begin.date()
        for entry in sorted(entries, key=lambda entry: entry.day):
            sum_usd, day = sum_usd + entry.usd, entry.day
            if sum_usd >= budget_usd:
                break
        return day
    elapsed = at - begin
    length = timedelta(days=monthrange(begin.year, begin.month)[1])
    if not timedelta(days=1) <= elapsed < length or used_usd <= 0:
        return None
    reached = begin + elapsed * (budget_usd / used_usd)
    return reached.date() if reached < begin + length else None
