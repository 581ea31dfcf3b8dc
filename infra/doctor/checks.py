"""The list of checks that the doctor and `make deploy` share, and how they are made, all at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from infra.doctor import checks_deepgram, checks_project, checks_running, commands
from infra.doctor.context import Context
from infra.doctor.findings import Finding, unknown
from infra.doctor.google import Unanswered

CALLS_IN_A_ROW = 4
"""What a check has time for where every answer takes as long as it may; then the report goes on without it."""


class Stage(Enum):
    """When a check is made."""

    DEPLOY = "before a deploy only, which it may stop"
    ALWAYS = "before a deploy, which it may stop, and in every report"
    PROJECT = "in every report"
    DEPLOYMENT = "in the report on a deployment"


@dataclass(frozen=True)
class Check:
    """One check of a group."""

    group: str
    subject: str
    run: Callable[[Context], Iterable[Finding]]
    stage: Stage = Stage.DEPLOYMENT
    needs_credentials: bool = True
    """Whether it asks with application default credentials."""


@dataclass(frozen=True)
class Section:
    """What the checks of a group found."""

    group: str
    findings: tuple[Finding, ...]


CHECKS = (
    Check("tools", "Terraform", commands.terraform, Stage.DEPLOY, needs_credentials=False),
    Check("tools", "gcloud", commands.gcloud, Stage.DEPLOY, needs_credentials=False),
    Check("project", "project", commands.project, Stage.ALWAYS, needs_credentials=False),
    Check("project", "billing", commands.billing, Stage.ALWAYS, needs_credentials=False),
    Check("project", "deployment's region", commands.same_region, Stage.DEPLOY, needs_credentials=False),
    Check("project", "release", commands.release, Stage.DEPLOY, needs_credentials=False),
    Check("project", "APIs", checks_project.apis, Stage.PROJECT),
    Check("GPU", "region", checks_project.region, Stage.PROJECT, needs_credentials=False),
    Check("GPU", "GPU quota", checks_project.gpu_quota, Stage.PROJECT),
    Check("GPU", "CPU and memory quota", checks_project.instance_quota, Stage.PROJECT),
    Check("GPU", "GPU health", checks_running.health),
    Check("money", "price book", checks_project.price_book, Stage.PROJECT, needs_credentials=False),
    Check("money", "GPU job's price", checks_project.job_prices, Stage.PROJECT, needs_credentials=False),
    Check("money", "costs table", checks_running.costs_table),
    Check("Deepgram", "Deepgram key", checks_deepgram.key, Stage.PROJECT),
    Check("Deepgram", "Deepgram's callbacks", checks_deepgram.callbacks),
    Check("running", "functions", checks_running.functions),
    Check("running", "scheduler", checks_running.scheduler),
    Check("running", "jobs", checks_running.jobs),
    Check("running", "executions", checks_running.executions),
    Check("running", "open jobs", checks_running.stuck_jobs),
    Check("running", "unredacted", checks_running.unredacted_bucket),
    Check("running", "backlog", checks_running.backlog),
)
"""In the order of the report."""


PREFLIGHT = (Stage.DEPLOY, Stage.ALWAYS)
"""What is checked before a deploy."""


def at_stages(*stages: Stage) -> list[Check]:
    """The checks that are made then."""
    return [check for check in CHECKS if check.stage in stages]


def run_checks(context: Context, checks: Sequence[Check], limit: float | None = None) -> list[Section]:
    """Make the checks, within `limit` seconds together; a section a group, in their order."""
    found: list[tuple[Finding, ...] | None] = [None] * len(checks)

    def make(place: int) -> None:
        found[place] = _findings(checks[place], context)

    # Daemons: a call that hangs must not keep the process.
    threads = [threading.Thread(target=make, args=(place,), daemon=True) for place in range(len(checks))]
    for thread in threads:
        thread.start()
    limit = limit or CALLS_IN_A_ROW * context.settings.doctor_timeout_seconds
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"Not done within {limit:g} s."
    groups: dict[str, list[Finding]] = {}
    for check, findings in zip(checks, found, strict=True):
        unfinished = (unknown(check.subject, late, "Try again."),)
        groups.setdefault(check.group, []).extend(unfinished if findings is None else findings)
    return [Section(group, tuple(findings)) for group, findings in groups.items()]


def _findings(check: Check, context: Context) -> tuple[Finding, ...]:
    """A check's findings; that it could not be made, or not to its end, is one of them."""
    found: list[Finding] = []
    try:
        found.extend(check.run(context))
    except Unanswered as error:
        found.append(unknown(check.subject, error.says, error.fix))
    except Exception as error:  # a fault of one check must not end the others
        found.append(unknown(check.subject, f"The check itself failed: {type(error).__name__}: {error}"))
    return tuple(found)
