"""A month's ledger as sums: totals, groups, and where the month is heading. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from infra.cli.cost_options import GroupBy
from shared.costs.quote import way_label
from shared.state.ledger_entry import Entry, EntryState, month_of

_MIN_FORECAST_AGE = timedelta(days=1)
"""From less of a month none is forecast."""


_KEYS: Mapping[GroupBy, Callable[[Entry], str]] = {
    GroupBy.DAY: lambda entry: entry.day.isoformat(),
    GroupBy.METHOD: lambda entry: way_label(entry.method, entry.device) if entry.method else "none",
    GroupBy.PREFIX: lambda entry: f"{entry.folder}/",
}


@dataclass(frozen=True)
class Totals:
    """Sums over some jobs, in US dollars."""

    uploads: int
    """Jobs that ended."""
    audio_seconds: float
    """Audio that was transcribed."""
    usd: float
    """Billed, with the time of executions that is on no upload's bill."""
    reserved_usd: float
    """Held for jobs that are not done."""
    deepgram_usd: float
    """The transcribed audio at Deepgram's price."""
    start_up_usd: float
    possibly_usd: float
    """Of `usd`: calls to Deepgram whose answer did not come, which it may have billed."""
    uploads_with_fallback: int

    @property
    def usd_per_audio_hour(self) -> float | None:
        """Average price of an hour of audio; None where nothing was transcribed."""
        return _ratio(self.usd, self.audio_seconds / 3600)

    @property
    def saving_usd(self) -> float:
        """What Deepgram would have cost more; negative where it would have been cheaper."""
        return self.deepgram_usd - self.usd

    @property
    def saving_share(self) -> float | None:
        """Saved share of Deepgram's price."""
        return _ratio(self.saving_usd, self.deepgram_usd)

    @property
    def start_up_share(self) -> float | None:
        """Part of the bill that went to starting instances."""
        return _ratio(self.start_up_usd, self.usd)

    @property
    def fallback_rate(self) -> float | None:
        """Share of the uploads for which another engine had to step in."""
        return _ratio(self.uploads_with_fallback, self.uploads)


@dataclass(frozen=True)
class CostReport:
    """What `dropscribe costs` prints."""

    month: str
    totals: Totals
    methods: Mapping[str, Totals]
    forecast_usd: float | None
    """The whole month, at the pace so far; None in the month's first day."""
    groups: Mapping[str, Totals] = field(default_factory=dict)


def cost_report(entries: Sequence[Entry], month: str, at: datetime, by: GroupBy | None = None) -> CostReport:
    """A month's entries -> its report, as of `at`."""
    totals = totals_of(entries)
    return CostReport(
        month=month,
        totals=totals,
        methods=grouped([entry for entry in entries if entry.state is EntryState.BILLED], GroupBy.METHOD),
        forecast_usd=forecast(totals.usd + totals.reserved_usd, month, at),
        groups=grouped(entries, by) if by else {},
    )


def totals_of(entries: Iterable[Entry]) -> Totals:
    """The sums of some entries."""
    entries = tuple(entries)
    billed = [entry for entry in entries if entry.state is EntryState.BILLED]
    return Totals(
        uploads=len(billed),
        audio_seconds=sum(entry.audio_seconds for entry in billed),
        usd=sum(entry.usd for entry in entries if entry.state is not EntryState.RESERVED),
        reserved_usd=sum(entry.usd for entry in entries if entry.state is EntryState.RESERVED),
        deepgram_usd=sum(entry.deepgram_usd for entry in billed),
        start_up_usd=sum(entry.start_up_usd for entry in billed),
        possibly_usd=sum(entry.possibly_usd for entry in billed),
        uploads_with_fallback=sum(entry.fallbacks > 0 for entry in billed),
    )


def grouped(entries: Iterable[Entry], by: GroupBy) -> dict[str, Totals]:
    """The sums of each group, in the order of their names."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(_KEYS[by](entry), []).append(entry)
    return {key: totals_of(groups[key]) for key in sorted(groups)}


def forecast(usd: float, month: str, at: datetime) -> float | None:
    """`usd` so far -> the whole month's, at the same pace; what was spent, where the month is over."""
    begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    if month_of(at) > month:
        return usd
    elapsed = at - begin
    if elapsed < _MIN_FORECAST_AGE:
        return None
    return usd * (timedelta(days=monthrange(begin.year, begin.month)[1]) / elapsed)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
