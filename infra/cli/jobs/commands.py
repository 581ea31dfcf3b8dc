"""The options of `submit`, `status`, `watch`, `results` and `explain`; what takes long to import is imported late."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.jobs.upload_flags import NOTHING_ASKED, MethodChoice, UploadFlags, takes_upload_flags, upload_options
from infra.cli.options import (
    DryRun,
    JobAddress,
    JobAddresses,
    Json,
    JsonLines,
    Project,
    StateBucket,
    UploadsBucket,
    Yes,
    bucket_of,
    check_asks,
)
from shared.enums import Privacy


@takes_upload_flags
def submit(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE|gs://BUCKET/NAME...", help="Files, folders and patterns, as run takes them."),
    ],
    project: Project = None,
    bucket: StateBucket = None,
    uploads: UploadsBucket = None,
    folder: Annotated[str, typer.Option("--folder", help="Folder of the uploads bucket.", metavar="FOLDER")] = "",
    method: Annotated[
        MethodChoice | None, typer.Option("--method", help="Instead of the deployment's.", show_default=False)
    ] = None,
    flags: UploadFlags = NOTHING_ASKED,
    privacy: Annotated[
        Privacy | None, typer.Option("--privacy", help="local: no audio is sent to an API.", show_default="any")
    ] = None,
    deadline_minutes: Annotated[
        float | None, typer.Option("--deadline", help="Latest end, from now.", metavar="MINUTES")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", help="Most that each may cost.", metavar="DOLLARS")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until all have ended; the exit status is then run's.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Upload recordings to a deployment, which transcribes them, and print their jobs.

    \b
    dropscribe submit calls/ --project my-project          a folder of recordings
    dropscribe submit gs://archive/call.mp3 --wait         an object of another bucket, which is copied
    """
    from infra.cli.jobs.submit import Submission, submit_all

    options = upload_options(flags, method, privacy, deadline_minutes=deadline_minutes, max_cost=max_cost)
    state, to = bucket_of("state", bucket, project), bucket_of("uploads", uploads, project)
    raise typer.Exit(submit_all(sources, Submission(state, to, folder, options, wait, dry_run, as_json)))


def status(jobs: JobAddresses, project: Project = None, bucket: StateBucket = None, as_json: Json = False) -> None:
    """Show how far jobs are: stage, progress, time left, or how they ended."""
    from infra.cli.jobs.status import print_status

    raise typer.Exit(print_status(jobs, bucket_of("state", bucket, project), as_json=as_json))


def watch(
    jobs: JobAddresses,
    project: Project = None,
    bucket: StateBucket = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Longest time to watch.", metavar="SECONDS", min=0)
    ] = None,
    as_json: JsonLines = False,
) -> None:
    """Show progress whenever it changes, until all jobs have ended. The exit status is that of `run`."""
    from infra.cli.jobs.status import watch_jobs

    raise typer.Exit(watch_jobs(jobs, bucket_of("state", bucket, project), timeout, as_json=as_json))


def results(
    jobs: JobAddresses,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("transcripts"),
    project: Project = None,
    bucket: StateBucket = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Copy the results of jobs that have ended into OUT/<name of the upload>/."""
    from infra.cli.jobs.results import copy_results

    state = bucket_of("state", bucket, project)
    raise typer.Exit(copy_results(jobs, state, out, dry_run=dry_run, as_json=as_json))


def explain(job: JobAddress, project: Project = None, bucket: StateBucket = None, as_json: Json = False) -> None:
    """Show why a job was routed as it was: decision, quotes, bill and coverage."""
    from infra.cli.jobs.explain import print_explanation

    raise typer.Exit(print_explanation(job, bucket_of("state", bucket, project), as_json=as_json))


def erase(
    job: JobAddress,
    project: Project = None,
    bucket: StateBucket = None,
    results_bucket: Annotated[
        str | None,
        typer.Option(
            "--results",
            envvar="RESULTS_BUCKET",
            help="The deployment's results bucket.",
            show_default="PROJECT-dropscribe-results",
        ),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Erase a job for good: its upload, its results, its records, and its names in the ledger."""
    from dropscribe.erasure import DeploymentNames
    from infra.cli.jobs.erase import Erasure, erase_one

    check_asks(as_json=as_json, yes=yes, dry_run=dry_run)
    if project is None:
        raise typer.BadParameter("name --project")
    state, stored = bucket_of("state", bucket, project), bucket_of("results", results_bucket, project)
    raise typer.Exit(erase_one(Erasure(job, DeploymentNames(project, stored, state), yes, dry_run, as_json)))
