"""The options of `reconcile` and `bench`; what they take long to import is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import DryRun, Json, Project, StateBucket, bucket_of


def reconcile(
    project: Project = None,
    bucket: StateBucket = None,
    region: Annotated[str, typer.Option("--region", help="Region of the deployment.")] = "us-central1",
    name: Annotated[str, typer.Option("--name", help="First part of the names, as given to Terraform.")] = "dropscribe",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Look for uploads whose event was lost, too, and not within a day.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", envvar="RECONCILE_URL", help="Of a laptop's reconciler, instead of a scheduler's."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Have the reconciler look at every open job now, and not within minutes: what has gone quiet goes on."""
    from infra.cli.operations.reconcile import Request, reconcile_now

    if url is None and project is None:
        raise typer.BadParameter("name --project")
    state = bucket_of("state", bucket, project)
    raise typer.Exit(reconcile_now(Request(project or "", region, name, state, sweep, url, dry_run, as_json)))


def rules(
    file: Annotated[Path, typer.Argument(help="Rules as TOML, as UPLOAD_RULES takes them.", dir_okay=False)],
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of uploads, such as calls/a.mp3.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a file of rules, and show what uploads of some names are given by it."""
    from infra.cli.operations.rules import show

    raise typer.Exit(show(file, names or [], as_json=as_json))


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks; all, where none is named.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the names, and measure nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Measure this machine with the benchmarks of the repository; figures also go into build/bench.json."""
    from infra.cli.operations.bench import run_benchmarks

    raise typer.Exit(run_benchmarks(names or [], dry_run=dry_run, as_json=as_json))
