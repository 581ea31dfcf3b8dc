"""GET /jobs: jobs by pages, those that have not ended first, then the others by the day of their uploads, newest first.

What has not ended has a marker, and what has ended a line in the ledger: both are listed by name, and a page token is
the name where the next page goes on. A request lists MAX_DAYS days and reads MAX_READ jobs at most, so a page may have
fewer than were asked for, and none even, with a token all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shared.clock import now
from shared.media import Upload
from shared.object_names import name_problem
from shared.operations.job_status import JobStatus, State, accepted_status, ended_status, read_status
from shared.state.jobs.erased import ERASED
from shared.state.jobs.store import JobStore
from shared.state.ledger_entry import EntryState
from trigger_function.api.submissions.new_upload import uploads_bucket
from trigger_function.api.web.answers import Answer
from trigger_function.api.web.call import Call
from trigger_function.api.web.problems import Problem

MAX_PAGE = 100
"""Jobs of a page."""
MAX_DAYS = 31
"""Days that one request lists, each with a call or more."""
MAX_LISTED = 10_000
"""Lines of the ledger that one request lists, 1,000 with a call."""
MAX_READ = 200
"""Jobs that one request reads, with two calls each."""
DEFAULT_DAYS = 30
"""Before now, where nobody says since when."""
THREADS = 8
"""Jobs that are read at once."""

OPEN_STATES = frozenset({State.ACCEPTED, State.CLAIMED, State.QUEUED, State.RUNNING})


def _written_as_day(value: object) -> object:
    """pydantic would take a number of seconds, too."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is None:
        raise ValueError("it has to be like 2026-11-28")
    return value


Day = Annotated[date, BeforeValidator(_written_as_day)]


class ListParameters(BaseModel):
    """What is listed. Days are of UTC, and those on which uploads were received."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State | None = None
    folder: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    since: Day | None = None
    until: Day | None = None
    """The last day."""
    name: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Of one object in the uploads bucket: its job alone."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 20
    page_token: Annotated[str, Field(max_length=400)] | None = None

    @model_validator(mode="after")
    def _days_ascend(self) -> ListParameters:
        if self.since and self.until and self.since > self.until:
            raise ValueError("since is later than until")
        return self


class JobPage(BaseModel):
    """Some jobs."""

    model_config = ConfigDict(frozen=True)

    jobs: tuple[JobStatus, ...]
    next_page_token: str | None
    """None: there are no more."""


class _Position(BaseModel):
    """Where a page goes on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Literal["open", "ended"]
    day: date | None = None
    after: Annotated[str, Field(pattern=r"^[0-9a-f.]{0,40}$")] = ""
    """Id of the marker, or the line of the ledger, behind which it goes on."""


@dataclass(frozen=True)
class _Candidate:
    """A job that may be on the page, or (None) where the request has listed enough."""

    position: _Position
    read: Callable[[], JobStatus | None] | None = field(default=None)


def list_jobs(call: Call) -> Answer:
    """A page of the jobs that the caller may see."""
    asked = call.query(ListParameters)
    if asked.name is not None:
        found = _job_of_object(call, asked.name)
        return Answer(HTTPStatus.OK, JobPage(jobs=(found,) if found else (), next_page_token=None))
    start = _parsed(asked.page_token) if asked.page_token else _Position(phase="open")
    return Answer(HTTPStatus.OK, _page(call, asked, _candidates(call, asked, start)))


def _page(call: Call, asked: ListParameters, candidates: Iterator[_Candidate]) -> JobPage:
    jobs: list[JobStatus] = []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="jobs") as threads:
        for _ in range(MAX_READ // THREADS):
            some = list(islice(candidates, THREADS))
            if not some:
                return JobPage(jobs=tuple(jobs), next_page_token=None)
            for one, job in zip(some, threads.map(lambda one: one.read and one.read(), some), strict=True):
                position = one.position
                if job is not None and _is_wanted(call, asked, job):
                    jobs.append(job)
                if one.read is None or len(jobs) == asked.limit:
                    return JobPage(jobs=tuple(jobs), next_page_token=_token(position))
    return JobPage(jobs=tuple(jobs), next_page_token=_token(position))


def _is_wanted(call: Call, asked: ListParameters, job: JobStatus) -> bool:
    name, received = job.upload.name, job.received_at
    day = received.astimezone(UTC).date() if received else None
    return (
        call.caller.may_see(name)
        and (asked.state is None or job.state is asked.state)
        and (asked.folder is None or name.startswith(f"{asked.folder.rstrip('/')}/"))
        and (day is None or (asked.since or day) <= day <= (asked.until or day))
    )


def _candidates(call: Call, asked: ListParameters, start: _Position) -> Iterator[_Candidate]:
    if start.phase == "open" and asked.state in (None, *OPEN_STATES):
        yield from _open_candidates(call, start.after)
    if asked.state not in OPEN_STATES:
        yield from _ended_candidates(call, asked, start if start.phase == "ended" else _Position(phase="ended"))


def _open_candidates(call: Call, after: str) -> Iterator[_Candidate]:
    jobs = call.services.deployment.jobs
    for marker in jobs.markers.all(after=after):
        position = _Position(phase="open", after=marker.id)
        yield _Candidate(position, partial(_open_job, call, marker.job_id))


def _open_job(call: Call, job_id: str) -> JobStatus | None:
    status = read_status(call.services.deployment.jobs, job_id, now())
    return status if status is not None and status.state in OPEN_STATES else None


def _ended_candidates(call: Call, asked: ListParameters, start: _Position) -> Iterator[_Candidate]:
    ledger, jobs = call.services.deployment.ledger, call.services.deployment.jobs
    last = min(start.day or date.max, asked.until or date.max, now().astimezone(UTC).date())
    before = asked.until or now().astimezone(UTC).date()
    first = asked.since or before - min(timedelta(days=DEFAULT_DAYS), before - date.min)
    folder = call.caller.folder or (asked.folder.partition("/")[0] if asked.folder else None)
    listed = 0
    for number in range((last - first).days + 1):
        day, after = last - timedelta(days=number), start.after if number == 0 and last == start.day else ""
        if number == MAX_DAYS:
            yield _Candidate(_Position(phase="ended", day=day))
            return
        for entry in ledger.day_entries(day, after):
            position, listed = _Position(phase="ended", day=day, after=entry.id), listed + 1
            if entry.state is EntryState.BILLED and folder in (None, entry.folder):
                yield _Candidate(position, partial(_ended_job, jobs, entry.id))
            if listed == MAX_LISTED:
                yield _Candidate(position)
                return


def _ended_job(jobs: JobStore, entry_id: str) -> JobStatus | None:
    """None where its records are gone, by the bucket's lifecycle, or erased."""
    job_id, _, run = entry_id.partition(".")
    outcome = jobs.outcome(job_id, int(run or 1))
    return ended_status(outcome) if outcome is not None and outcome.upload.name != ERASED else None


def _job_of_object(call: Call, name: str) -> JobStatus | None:
    """The job of an object's newest generation; what the record does not say yet is null."""
    bucket = uploads_bucket(call.services)
    if not call.caller.may_see(name) or name_problem(name) is not None or "\0" in name:
        return None
    blob = bucket.get_blob(name)
    if blob is None:
        return None
    upload = Upload(bucket=str(bucket.name), name=name, generation=int(blob.generation))
    return read_status(call.services.deployment.jobs, upload.job_id, now()) or accepted_status(upload, None)


def _token(position: _Position) -> str:
    return base64.urlsafe_b64encode(position.model_dump_json().encode()).decode()


def _parsed(token: str) -> _Position:
    try:
        return _Position.model_validate_json(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, ValidationError):
        raise Problem(HTTPStatus.BAD_REQUEST, "The page_token is not one of this API's.") from None
