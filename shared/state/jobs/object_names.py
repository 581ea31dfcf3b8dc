"""The names that a job's objects have in the state bucket."""

from __future__ import annotations

import re

OPEN_FOLDER = "open/"
"""Of the markers of jobs that are not terminal."""


def marker_name(job_id: str, run: int) -> str:
    """Of the marker of a run that is not terminal."""
    return f"{OPEN_FOLDER}{job_id}.json" if run == 1 else f"{OPEN_FOLDER}{job_id}.{run}.json"


def record_name(work_id: str) -> str:
    """Of the record of a job, or of a shard by its name."""
    return f"jobs/{work_id}/record.json"


def outcome_name(job_id: str, run: int) -> str:
    """Of a run's outcome."""
    return f"jobs/{job_id}/outcome.json" if run == 1 else f"jobs/{job_id}/outcome-{run}.json"


def outcome_of_object(name: str) -> tuple[str, int] | None:
    """Job and run whose outcome an object of the state bucket is; None: it is something else."""
    found = re.fullmatch(r"jobs/([0-9a-f]{24})/outcome(?:-(\d{1,9}))?\.json", name)
    return (found[1], int(found[2] or 1)) if found else None


def unreadable_folder(name: str) -> str:
    """Where damaged generations of one of a job's objects are kept: with the job, so that they go with it."""
    if name.startswith(OPEN_FOLDER):
        job_id, marker = name.removeprefix(OPEN_FOLDER).partition(".")[0], name.removeprefix(OPEN_FOLDER)
        return f"jobs/{job_id}/unreadable/{OPEN_FOLDER}{marker}/"
    job_id, _, own = name.removeprefix("jobs/").partition("/")
    return f"jobs/{job_id}/unreadable/{own}/"


def parts_folder(job_id: str, run: int = 1) -> str:
    """Where attempts leave what the next one need not do or pay again. `run`: the record's `parts_run`."""
    return f"jobs/{job_id}/parts/" if run == 1 else f"jobs/{job_id}/parts-{run}/"
