"""The options of `dropscribe dead list`, `replay` and `drop`; what takes long to import is imported when they run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from infra.cli.options import DryRun, Json, Yes, check_asks

dead_app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: work that no worker could take, outcomes that BigQuery did not take.",
)


class QueueChoice(StrEnum):
    """What `--queue` takes."""

    ALL = "all"
    WORK = "work"
    RESULTS = "results"


Project = Annotated[str, typer.Option("--project", envvar="GOOGLE_CLOUD_PROJECT", help="Google Cloud project.")]
TopicPrefix = Annotated[str, typer.Option("--topic-prefix", help="First part of topic names.")]
Queue = Annotated[QueueChoice, typer.Option("--queue", help="Only work items, or only outcomes.")]
StateBucket = Annotated[
    str | None,
    typer.Option(
        "--bucket", envvar="STATE_BUCKET", help="The deployment's state bucket, for what has become of the jobs."
    ),
]
Ids = Annotated[list[str] | None, typer.Argument(help="As list shows them.", metavar="ID...", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every one, instead of some by their ids.")]


@dead_app.command("list")
def list_letters(
    project: Project,
    topic_prefix: TopicPrefix = "transcription",
    queue: Queue = QueueChoice.ALL,
    bucket: StateBucket = None,
    limit: Annotated[int, typer.Option("--limit", help="Most letters of each queue.", min=1, max=1000)] = 100,
    as_json: Json = False,
) -> None:
    """Show dead letters, the oldest first, and take none."""
    from infra.cli.dead_letters.letters import Letters, print_letters

    raise typer.Exit(print_letters(Letters(project, topic_prefix, queue, bucket), limit, as_json=as_json))


@dead_app.command()
def replay(
    project: Project,
    ids: Ids = None,
    every: All = False,
    topic_prefix: TopicPrefix = "transcription",
    queue: Queue = QueueChoice.ALL,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Publish dead letters again to the topic they came from; then they are taken away.

    What workers and subscribers had before they know, by its job or its event_id.
    """
    from infra.cli.dead_letters.letters import Action, Letters, take_letters

    _check(ids, every=every, yes=yes, dry_run=dry_run, as_json=as_json)
    action = Action("replay", ids=ids, asks=every and not yes, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(take_letters(Letters(project, topic_prefix, queue), action))


@dead_app.command()
def drop(
    project: Project,
    ids: Ids = None,
    every: All = False,
    topic_prefix: TopicPrefix = "transcription",
    queue: Queue = QueueChoice.ALL,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take dead letters away for good. No upload is lost by that: the reconciler looks after every job."""
    from infra.cli.dead_letters.letters import Action, Letters, take_letters

    _check(ids, every=every, yes=yes, dry_run=dry_run, as_json=as_json)
    action = Action("drop", ids=ids, asks=not yes, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(take_letters(Letters(project, topic_prefix, queue), action))


def _check(ids: list[str] | None, *, every: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    if bool(ids) == every:
        raise typer.BadParameter("name ids as list shows them, or --all")
    check_asks(as_json=as_json, yes=yes, dry_run=dry_run)
