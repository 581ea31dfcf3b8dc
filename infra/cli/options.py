"""Options that several commands have: the same words and the same meaning everywhere. Nothing heavy is imported."""

from __future__ import annotations

from typing import Annotated

import typer

Project = Annotated[
    str | None,
    typer.Option(
        "--project", envvar="GOOGLE_CLOUD_PROJECT", help="Google Cloud project of a deployment with Terraform's names."
    ),
]
StateBucket = Annotated[
    str | None,
    typer.Option(
        "--bucket",
        envvar="STATE_BUCKET",
        help="The deployment's state bucket.",
        show_default="PROJECT-dropscribe-state",
    ),
]
UploadsBucket = Annotated[
    str | None,
    typer.Option(
        "--uploads",
        envvar="UPLOADS_BUCKET",
        help="The deployment's uploads bucket.",
        show_default="PROJECT-dropscribe-uploads",
    ),
]
JobAddress = Annotated[
    str, typer.Argument(metavar="JOB", help="A job id, or gs://BUCKET/NAME of the upload, also with #GENERATION.")
]
JobAddresses = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="Job ids, or gs://BUCKET/NAME of uploads, also with #GENERATION."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object on each line.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def bucket_of(purpose: str, bucket: str | None, project: str | None) -> str:
    """The bucket that was named, else the one that Terraform makes in the project. Raises typer.BadParameter."""
    if bucket is not None:
        return bucket
    if not project:
        option = "--bucket" if purpose == "state" else f"--{purpose}"
        raise typer.BadParameter(f"name {option}, or --project of a deployment with Terraform's names")
    return f"{project}-dropscribe-{purpose}"


def check_asks(*, as_json: bool, yes: bool, dry_run: bool) -> None:
    """What prints JSON asks nothing. Raises typer.BadParameter."""
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("--json does not ask: add --yes or --dry-run")
