"""The ledger: what each job of a month cost, or may cost, as one small object a job; a listing is the sum.

`ledger/2026-11/21/<id>` says nothing by its content; its figures are its custom metadata. Nobody reads, adds and writes
a common counter, so no crash and no race can lose a dollar: a job reserved twice has one entry, and the bill takes the
reservation's place. A job belongs to the day, and the month, in which its upload was received, whenever it ends.

Days that are over are listed once: their sums are kept in `ledger-sums-by-folder/2026-11.json`, which whoever writes an
entry of such a day empties. So a sum lists a few days, however many jobs the month has.
"""

from __future__ import annotations

import logging
import math
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Bucket
from pydantic import BaseModel, ValidationError

from shared import objects
from shared.clock import now
from shared.errors import StateConflict
from shared.state.ledger_entry import ERASED_FOLDER, Dollars, Entry, EntryState, erased_folder

_log = logging.getLogger(__name__)

_SHARDS = "0123456789abcdef"
"""First letters of the ids, which are hashes: a page of a listing holds 1000 objects, and pages come one by one, so a
day of more than that is listed by letter."""

_PARALLEL_LISTINGS = 8
"""Below the ten connections that Google's client keeps."""

CLOSED_AFTER = timedelta(days=3)
"""Beginning of a day to the time from which its sum is kept. MAX_WAIT_HOURS is a day, so hardly a job ends later."""


@dataclass(frozen=True)
class MonthSums:
    """A month's ledger in few numbers."""

    usd: float
    """Billed and reserved."""
    jobs: int
    folders: Mapping[str, float] = field(default_factory=dict)
    """Billed and reserved by the uploads' folders, each as `erased_folder` has it: their names may be erased."""

    def of_folder(self, folder: str) -> float:
        """Billed and reserved for a folder, with what was erased: to erase a recording gives no money back."""
        return self.folders.get(erased_folder(folder), 0.0)


@dataclass(frozen=True)
class Booked:
    """An entry that stands, with its object's generation."""

    entry: Entry | None
    """None: it cannot be read."""
    generation: int
    has_sum: bool = True
    """Whether its dollars count in the month's sums, whatever else of it is damaged, or of another version."""


class _DaySums(BaseModel):
    usd: Dollars = 0.0
    jobs: int = 0
    folders: dict[str, Dollars] = {}


class _ClosedDays(BaseModel):
    """Sums of a month's days that are over."""

    days: dict[int, _DaySums] = {}


class Ledger:
    """The ledger's objects in the state bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def reserve(self, entry: Entry) -> None:
        """Write a reservation. A newer estimate replaces an older one, and what has no sum of money; a bill stays."""
        # Nearly always there is none: then one call does it.
        if self._put(entry, if_generation_match=0):
            return
        blob = self._bucket.get_blob(_name(entry))
        figures = (blob.metadata or {}) if blob is not None else {}
        if blob is not None and (figures.get("state") == EntryState.RESERVED or not _has_sum(figures)):
            self._put(entry, if_generation_match=int(blob.generation))

    def book(self, entry: Entry, closes: str | None = None) -> None:
        """Write a bill in the reservation's place. A job's outcome is decided once, so every writer writes the same.

        `closes`: an object of the state bucket that goes with the same call, if it is there. Its content stays, as the
        entry's.
        """
        with self._changed(entry.day):
            if closes is None or not objects.write_and_delete(self._bucket, _name(entry), entry.metadata(), closes):
                self._write(entry)

    def booked(self, entry: Entry) -> Booked | None:
        """What stands where `entry` belongs."""
        blob = self._bucket.get_blob(_name(entry))
        if blob is None:
            return None
        figures, generation = blob.metadata or {}, int(blob.generation)
        try:
            stands = Entry.model_validate({**figures, "id": entry.id})
        except ValidationError:
            _log.exception("unreadable ledger entry", extra={"fields": {"object": str(blob.name)}})
            return Booked(None, generation, has_sum=_has_sum(figures))
        return Booked(stands, generation)

    def book_overhead(self, entry: Entry, before: Booked | None) -> bool:
        """Write an overhead in the place of what stood there before: whoever knows it looks at the outcomes behind
        that, so of two writers the one that looked longer ago is refused. False where something else stands."""
        if before is not None and before.entry == entry:
            return True
        return self._put(entry, if_generation_match=before.generation if before else 0)

    def entry(self, day: date, entry_id: str) -> Entry | None:
        """An entry by its day and id; None also where it cannot be read."""
        name = f"ledger/{day:%Y-%m/%d}/{entry_id}"
        blob = self._bucket.get_blob(name)
        try:
            return None if blob is None else Entry.model_validate({**(blob.metadata or {}), "id": entry_id})
        except ValidationError:
            _log.exception("unreadable ledger entry", extra={"fields": {"object": name}})
            return None

    def erase_folder(self, day: date, entry_id: str) -> bool:
        """Have an entry name its folder by a hash, which still tells folders apart; False where there is no entry.

        Its dollars stay: what was spent was spent.
        """
        name = f"ledger/{day:%Y-%m/%d}/{entry_id}"
        blob = self._bucket.get_blob(name)
        if blob is None:
            return False
        folder = (blob.metadata or {}).get("folder", "")
        if folder and not folder.startswith(ERASED_FOLDER):
            objects.set_metadata(self._bucket, name, {"folder": erased_folder(folder)})
        return True

    def withdraw(self, entry: Entry) -> None:
        """Take a reservation back; a bill stays."""
        blob = self._bucket.get_blob(_name(entry))
        if blob is not None and (blob.metadata or {}).get("state") == EntryState.RESERVED:
            with self._changed(entry.day):
                objects.delete(self._bucket, _name(entry), int(blob.generation))

    def entries(self, month: str) -> Iterator[Entry]:
        """Every entry of a month (`2026-11`). One that cannot be read is logged and left out."""
        for items in self._list(month, _days_of(month), "items(name,metadata)").values():
            for item in items:
                name = str(item["name"])
                try:
                    yield Entry.model_validate({**item.get("metadata", {}), "id": name.rpartition("/")[2]})
                except ValidationError:
                    _log.exception("unreadable ledger entry", extra={"fields": {"object": name}})

    def day_entries(self, day: date, after: str = "") -> Iterator[Entry]:
        """A day's entries in the order of their ids, those behind `after`; 1,000 are listed with a call, as far as the
        caller goes on. One that cannot be read is logged and left out."""
        prefix = f"ledger/{day:%Y-%m/%d}/"
        for one in objects.list_metadata(self._bucket, prefix, f"{prefix}{after}" if after else ""):
            try:
                yield Entry.model_validate({**one.metadata, "id": one.name.removeprefix(prefix)})
            except ValidationError:
                _log.exception("unreadable ledger entry", extra={"fields": {"object": one.name}})

    def month_sums(self, month: str) -> MonthSums:
        """Sums of a month's entries. One that cannot be read is logged and left out: it must not stop uploads."""
        days = _days_of(month)
        closed = {day for day in days if _is_closed(date.fromisoformat(f"{month}-{day:02}"))}
        kept = objects.read(self._bucket, _sums_name(month)) if closed else None
        known = _kept_days(month, kept)
        listed = self._list(month, [day for day in days if day not in known], "items(name,metadata(usd,state,folder))")
        found = {day: _sums(items) for day, items in listed.items()}
        if new := {day: sums for day, sums in found.items() if day in closed}:
            data = _ClosedDays(days={**known, **new}).model_dump_json().encode()
            # Where somebody wrote meanwhile, another sum or an entry, the next one lists these days again.
            with suppress(StateConflict):
                objects.replace(self._bucket, _sums_name(month), data, kept.generation if kept else 0)
        every = [*known.values(), *found.values()]
        folders: dict[str, float] = {}
        for one in every:
            for folder, usd in one.folders.items():
                folders[folder] = folders.get(folder, 0.0) + usd
        return MonthSums(sum(one.usd for one in every), sum(one.jobs for one in every), folders)

    def _put(self, entry: Entry, **precondition: int) -> bool:
        """False where another entry stands."""
        with self._changed(entry.day):
            return self._write(entry, **precondition)

    @contextmanager
    def _changed(self, day: date) -> Iterator[None]:
        """An entry of the day changes: a sum that is kept of it holds no more. Emptied before the change, for a crash,
        and behind it; and not deleted, so that no process keeps a sum that it began to make before."""
        name, empty = _sums_name(f"{day:%Y-%m}"), _ClosedDays().model_dump_json().encode()
        is_closed = _is_closed(day)
        if is_closed:
            objects.write(self._bucket, name, empty)
        yield
        if is_closed:
            objects.write(self._bucket, name, empty)

    def _write(self, entry: Entry, **precondition: int) -> bool:
        blob = self._bucket.blob(_name(entry))
        blob.metadata = entry.metadata()
        # Lost to a bill, or to the same job's other process, or to our own write whose answer was lost: one of them
        # stands, and none of them may be overwritten by an estimate.
        try:
            blob.upload_from_string(b"", content_type="application/x-empty", **precondition)
        except PreconditionFailed:
            _log.info("ledger entry stands", extra={"fields": {"object": blob.name}})
            return False
        return True

    def _list(self, month: str, days: Sequence[int], fields: str) -> Mapping[int, Sequence[Mapping[str, Any]]]:
        """Names and metadata of the objects of some days, as the API lists them: a Blob for each takes five times as
        long."""

        def pages(prefix: str) -> Iterator[Any]:
            return iter(self._bucket.list_blobs(prefix=prefix, fields=f"{fields},nextPageToken").pages)

        def shard(prefix: str) -> list[Mapping[str, Any]]:
            return [item for page in pages(prefix) for item in _items(page)]

        def first_page(day: int) -> tuple[list[Mapping[str, Any]], bool]:
            """And whether that is all."""
            page = next(pages(f"ledger/{month}/{day:02}/"), None)
            return ([], True) if page is None else (list(_items(page)), "nextPageToken" not in page.raw_page)

        with ThreadPoolExecutor(_PARALLEL_LISTINGS, thread_name_prefix="ledger") as pool:
            listed: dict[int, list[Mapping[str, Any]]] = {}
            large: list[int] = []
            for day, (items, is_all) in zip(days, pool.map(first_page, days), strict=True):
                listed[day] = items if is_all else []
                large += [] if is_all else [day]
            shards = [(day, f"ledger/{month}/{day:02}/{letter}") for day in large for letter in _SHARDS]
            for (day, _), items in zip(shards, pool.map(shard, [prefix for _, prefix in shards]), strict=True):
                listed[day] += items
        return listed


def _days_of(month: str) -> Sequence[int]:
    """Days of a month that have come."""
    first = date.fromisoformat(f"{month}-01")
    today = now().astimezone(UTC).date()
    is_now = (today.year, today.month) == (first.year, first.month)
    return range(1, (today.day if is_now else monthrange(first.year, first.month)[1]) + 1)


def _is_closed(day: date) -> bool:
    return now() - datetime(day.year, day.month, day.day, tzinfo=UTC) >= CLOSED_AFTER


def _kept_days(month: str, kept: objects.Versioned | None) -> Mapping[int, _DaySums]:
    """What is kept of a month; what cannot be read is as good as nothing."""
    try:
        return _ClosedDays.model_validate_json(kept.data).days if kept else {}
    except ValidationError:
        _log.exception("unreadable object in the state bucket", extra={"fields": {"object": _sums_name(month)}})
        return {}


def _sums(items: Iterable[Mapping[str, Any]]) -> _DaySums:
    usd, jobs, folders = 0.0, 0, dict[str, float]()
    for item in items:
        figures = item.get("metadata", {})
        try:
            of_one, folder = _dollars(figures["usd"]), figures.get("folder", "")
        except (KeyError, ValueError):
            _log.exception("unreadable ledger entry", extra={"fields": {"object": item["name"]}})
            continue
        usd += of_one
        folders[folder] = folders.get(folder, 0.0) + of_one
        jobs += figures.get("state") != EntryState.OVERHEAD
    hashed: dict[str, float] = {}
    for folder, of_folder in folders.items():
        name = folder if folder.startswith(ERASED_FOLDER) else erased_folder(folder)
        hashed[name] = hashed.get(name, 0.0) + of_folder
    return _DaySums(usd=usd, jobs=jobs, folders=hashed)


def _dollars(text: str) -> float:
    """Raises ValueError for what is no sum of money: one such entry would make the month's sum none."""
    usd = float(text)
    if not 0 <= usd < math.inf:
        raise ValueError(f"{text} is no sum of money")
    return usd


def _has_sum(figures: Mapping[str, str]) -> bool:
    """Whether an entry's dollars count, by what is read of it for a month's sums."""
    try:
        _dollars(figures["usd"])
    except (KeyError, ValueError):
        return False
    return True


def _items(page: Any) -> Iterable[Mapping[str, Any]]:
    items: Iterable[Mapping[str, Any]] = page.raw_page.get("items", ())
    return items


def _name(entry: Entry) -> str:
    return f"ledger/{entry.day:%Y-%m/%d}/{entry.id}"


def _sums_name(month: str) -> str:
    return f"ledger-sums-by-folder/{month}.json"
