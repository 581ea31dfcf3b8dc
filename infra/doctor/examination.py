"""The examination: which checks there are, and how they are made, side by side and none waiting for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from infra.doctor import (
    checks_access,
    checks_deepgram,
    checks_messages,
    checks_project,
    checks_running,
    checks_storage,
)
from infra.doctor.context import Context
from infra.doctor.findings import Finding, unknown
from infra.doctor.google import Unanswered
from infra.doctor.names import COMPONENTS

CALLS_IN_A_ROW = 4
"""What a check has time for where every answer takes as long as it may; then the report goes on without it."""


@dataclass(frozen=True)
class Check:
    """One check of a group."""

    group: str
    subject: str
    run: Callable[[Context], Iterable[Finding]]
    after_deploy: bool = True
    """Whether there is nothing to look at before a deployment."""
    asks_google: bool = True
    """Whether it takes credentials."""


@dataclass(frozen=True)
class Section:
    """What the checks of a group found."""

    group: str
    findings: tuple[Finding, ...]


CHECKS = (
    Check("project", "project", checks_project.project, after_deploy=False),
    Check("project", "billing", checks_project.billing, after_deploy=False),
    Check("project", "APIs", checks_project.apis, after_deploy=False),
    Check("GPU", "region", checks_project.region, after_deploy=False, asks_google=False),
    Check("GPU", "GPU quota", checks_project.gpu_quota, after_deploy=False),
    Check("GPU", "GPU health", checks_running.health),
    Check("money", "price book", checks_project.price_book, after_deploy=False, asks_google=False),
    Check("money", "costs dataset", checks_storage.costs_dataset),
    Check("Deepgram", "Deepgram key", checks_deepgram.key, after_deploy=False),
    Check("running", "functions", checks_running.functions),
    Check("running", "scheduler", checks_running.scheduler),
    Check("running", "jobs", checks_running.jobs),
    Check("running", "open jobs", checks_running.stuck_jobs),
    Check("storage", "buckets", checks_storage.buckets),
    Check("messages", "topics", checks_messages.topics),
    Check("messages", "subscriptions", checks_messages.subscriptions),
    Check("messages", "backlog", checks_messages.backlog),
    *(Check("permissions", f"account {one}", checks_access.account(one)) for one in COMPONENTS),
    *(Check("permissions", one, checks_access.agent(one)) for one in checks_access.AGENTS),
    Check("permissions", "public access", checks_access.public_access),
)
"""In the order of the report."""


def examine(context: Context, checks: Sequence[Check] = CHECKS) -> list[Section]:
    """Make the checks, those of a deployment only where there is one; a section a group, in their order."""
    due = [check for check in checks if context.deployed or not check.after_deploy]
    found: list[tuple[Finding, ...] | None] = [None] * len(due)

    def make(place: int) -> None:
        found[place] = made(due[place], context)

    # Daemons: a call that hangs must not keep the process.
    threads = [threading.Thread(target=make, args=(place,), daemon=True) for place in range(len(due))]
    for thread in threads:
        thread.start()
    limit = CALLS_IN_A_ROW * context.settings.doctor_timeout_seconds
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"Not done within {limit:g} s."
    groups: dict[str, list[Finding]] = {}
    for check, findings in zip(due, found, strict=True):
        groups.setdefault(check.group, []).extend(findings or (unknown(check.subject, late, "Try again."),))
    return [Section(group, tuple(findings)) for group, findings in groups.items()]


def made(check: Check, context: Context) -> tuple[Finding, ...]:
    """A check's findings; that it could not be made, or not to its end, is one of them."""
    found: list[Finding] = []
    try:
        found.extend(check.run(context))
    except Unanswered as error:
        found.append(unknown(check.subject, error.says, error.fix))
    except Exception as error:  # a fault of one check must not end the others
        found.append(unknown(check.subject, f"The check itself failed: {type(error).__name__}: {error}"))
    return tuple(found)
