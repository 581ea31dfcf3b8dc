"""Checks of Pub/Sub: topics, subscriptions, and what has been waiting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, or_ok, warn
from infra.doctor.google import Missing
from infra.doctor.names import KEPT, TOPICS
from infra.doctor.resources_deployment import Subscription, TimeSeriesPage, Topic

PUBSUB = "pubsub.googleapis.com"

WORK_ACK_SECONDS = 60
"""terraform/pubsub.tf. A worker prolongs what it holds; with less, a slow answer makes the item come again."""

OLDEST_WORK = timedelta(minutes=30)
"""As the alert of terraform/alerting.tf."""

_APPLY = "terraform apply"


@dataclass(frozen=True)
class _Wanted:
    """A subscription as it should be."""

    name: str
    topic: str
    dead_topic: str | None = None
    ack_seconds: int = 10


def topics(context: Context) -> Iterator[Finding]:
    """Every topic is there."""
    yield from or_ok(_topic_problems(context), "topics", f"All {len(TOPICS)} are there.")


def _topic_problems(context: Context) -> Iterator[Finding]:
    for purpose in TOPICS:
        name = context.names.topic(purpose)
        try:
            context.google.get(Topic, PUBSUB, f"v1/projects/{context.names.project}/topics/{name}")
        except Missing:
            yield fail("topics", f"There is no topic {name}.", _APPLY)


def subscriptions(context: Context) -> Iterator[Finding]:
    """Every subscription is there, on its topic, with its dead letters, and never expires."""
    wanted = _wanted(context)
    problems = (problem for one in wanted for problem in _subscription_problems(context, one))
    yield from or_ok(problems, "subscriptions", f"All {len(wanted)} are there, dead letters and deadlines as wanted.")


def _wanted(context: Context) -> list[_Wanted]:
    names = context.names
    work = _Wanted(names.work_subscription, names.topic("work"), names.topic("work-dead"), WORK_ACK_SECONDS)
    costs = _Wanted(names.costs_subscription, names.topic("results"), names.topic("results-dead"))
    return [work, costs, *(_Wanted(names.kept(purpose), names.topic(purpose)) for purpose in KEPT)]


def _subscription_problems(context: Context, wanted: _Wanted) -> Iterator[Finding]:
    parent = f"projects/{context.names.project}"
    try:
        found = context.google.get(Subscription, PUBSUB, f"v1/{parent}/subscriptions/{wanted.name}")
    except Missing:
        yield fail("subscriptions", f"There is no subscription {wanted.name}.", _APPLY)
        return
    if found.topic != f"{parent}/topics/{wanted.topic}" or found.detached:
        says = f"{wanted.name} is {'detached' if found.detached else f'on {found.topic}'}, not on {wanted.topic}."
        yield fail("subscriptions", says, f"gcloud pubsub subscriptions delete {wanted.name}, then {_APPLY}")
    dead = found.dead_letter_policy.dead_letter_topic if found.dead_letter_policy else None
    if wanted.dead_topic and dead != f"{parent}/topics/{wanted.dead_topic}":
        says = f"{wanted.name} sends dead letters to {dead or 'no topic'}, not to {wanted.dead_topic}."
        yield fail("subscriptions", says, _APPLY)
    if found.ack_deadline_seconds < wanted.ack_seconds:
        says = f"{wanted.name} waits {found.ack_deadline_seconds} s for an acknowledgement, not {wanted.ack_seconds} s."
        yield warn("subscriptions", says, _APPLY)
    if found.expiration_policy is None or found.expiration_policy.ttl:
        yield warn("subscriptions", f"{wanted.name} is deleted when nobody uses it for a while.", _APPLY)
    if found.bigquery_config and found.bigquery_config.state not in ("", "ACTIVE"):
        says = f"{wanted.name} cannot write to {found.bigquery_config.table}: {found.bigquery_config.state}."
        yield fail("subscriptions", says, "See the warehouse account's roles, and the table's columns.")


def backlog(context: Context) -> Iterator[Finding]:
    """No work waits for long, and no dead letters lie about (Cloud Monitoring's figures, minutes old)."""
    yield from or_ok(_waiting(context), "backlog", "No work waits for long, and there are no dead letters.")


def _waiting(context: Context) -> Iterator[Finding]:
    names = context.names
    oldest = _newest_value(context, names.work_subscription, "oldest_unacked_message_age")
    if oldest is not None and oldest > OLDEST_WORK.total_seconds():
        says = f"The oldest work has waited for {timedelta(seconds=oldest)}."
        yield warn("backlog", says, "No execution runs, or none starts: see the jobs, the GPU quota and its health.")
    for purpose in ("work-dead", "results-dead"):
        count = _newest_value(context, names.kept(purpose), "num_undelivered_messages")
        if count:
            pull = f"gcloud pubsub subscriptions pull {names.kept(purpose)} --project={names.project} --limit=10"
            yield warn("backlog", f"{count} dead letters in {names.kept(purpose)}.", pull)


def _newest_value(context: Context, subscription: str, metric: str) -> int | None:
    """The newest value of the last ten minutes; None where nothing was measured, as for an idle subscription."""
    page = context.google.get(
        TimeSeriesPage,
        "monitoring.googleapis.com",
        f"v3/projects/{context.names.project}/timeSeries",
        {
            "filter": f'metric.type = "pubsub.googleapis.com/subscription/{metric}"'
            f' AND resource.labels.subscription_id = "{subscription}"',
            "interval.startTime": (context.at - timedelta(minutes=10)).isoformat(),
            "interval.endTime": context.at.isoformat(),
        },
    )
    return next((point.value.int64_value for series in page.time_series for point in series.points), None)
