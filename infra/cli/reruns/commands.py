"""The options of `dropscribe rerun` and `dropscribe diff`; what they take long to import is imported when they run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from infra.cli.options import DryRun, JobAddress, Json, Project, StateBucket, Yes, bucket_of, check_asks

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def parse_since(text: str) -> datetime:
    """`90m`, `12h` or `3d` ago, or an ISO time, in UTC where it does not say."""
    number, unit = text[:-1], text[-1:]
    try:
        if unit in _UNITS and number.isascii() and number.isdecimal():
            return datetime.now(UTC) - int(number) * _UNITS[unit]
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a time like 2026-11-28T10:00 nor an age like 12h or 3d"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def rerun(
    job: Annotated[
        str | None,
        typer.Argument(help="A job id, or gs://BUCKET/NAME of the upload, also with #GENERATION.", show_default=False),
    ] = None,
    project: Project = None,
    bucket: StateBucket = None,
    failed_since: Annotated[
        datetime | None,
        typer.Option("--failed-since", help="Every job that failed since.", metavar="TIME|12h|3d", parser=parse_since),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", help="Every upload below it; with --failed-since: only those.", metavar="gs://B/P"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="parakeet, deepgram, or one of Deepgram's models with a price, such as nova-3."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what is completed, with the model that it has.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Annotated[
        bool | None,
        typer.Option("--wait/--no-wait", help="Until all have ended, then compare words.", show_default="with --model"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Transcribe again what has ended, as the next run of the same job.

    \b
    dropscribe rerun gs://B/calls/a.mp3        one job
    dropscribe rerun --failed-since 12h        all that failed
    dropscribe rerun --prefix gs://B/calls/ --model nova-3

    The outcome and results of the run before stay where they are; the new one has a message and a bill of its own.
    """
    from infra.cli.reruns.rerun import Rerun, run_again

    if (job is None) == (failed_since is None and prefix is None):
        raise typer.BadParameter("name a job, or --failed-since, or --prefix")
    check_asks(as_json=as_json, yes=yes, dry_run=dry_run)
    wanted = Rerun(
        state_bucket=bucket_of("state", bucket, project),
        job=job,
        failed_since=failed_since,
        prefix=prefix,
        model=model,
        force=force,
        dry_run=dry_run,
        yes=yes,
        wait=model is not None if wait is None else wait,
        as_json=as_json,
    )
    raise typer.Exit(run_again(wanted))


def diff(
    job: JobAddress,
    project: Project = None,
    bucket: StateBucket = None,
    as_json: Json = False,
) -> None:
    """Compare the words of a job's last two transcripts: changed, inserted and deleted, with their times."""
    from infra.cli.reruns.diff import print_diff

    raise typer.Exit(print_diff(job, bucket_of("state", bucket, project), as_json=as_json))
