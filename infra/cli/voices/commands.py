"""The options of `dropscribe voices`; what they take long to import is imported when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from infra.cli.options import JobAddress, Json, Project, StateBucket, Yes, bucket_of, check_asks

voices_app = typer.Typer(
    no_args_is_help=True,
    help="Kept voices, by which speakers are named: biometric data, kept only where KEPT_VOICES is on.",
)

Folder = Annotated[
    str,
    typer.Option("--folder", help="First folder of the uploads whose voices they are.", show_default="uploads without"),
]
Name = Annotated[str, typer.Argument(help="Name of the person, as transcripts are to have it.", metavar="NAME")]


@voices_app.command("list")
def list_voices(project: Project = None, bucket: StateBucket = None, as_json: Json = False) -> None:
    """Show the voices of every folder, and which jobs they were heard in."""
    from infra.cli.voices.voices import print_voices

    raise typer.Exit(print_voices(bucket_of("state", bucket, project), as_json=as_json))


@voices_app.command()
def add(
    job: JobAddress,
    speaker: Annotated[int, typer.Argument(help="Number of the speaker in transcript.json.", min=0)],
    name: Name,
    project: Project = None,
    bucket: StateBucket = None,
    folder: Annotated[
        str | None, typer.Option("--folder", help="Whose voice it shall be.", show_default="the job's folder")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep the voice of a job's SPEAKER under a NAME; under one that is kept already, as one more recording of it."""
    from infra.cli.voices.voices import add_one

    raise typer.Exit(add_one(bucket_of("state", bucket, project), job, speaker, name, folder, as_json=as_json))


@voices_app.command()
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(help="Instead of it.", metavar="NEW-NAME")],
    project: Project = None,
    bucket: StateBucket = None,
    folder: Folder = "",
    as_json: Json = False,
) -> None:
    """Give a kept voice another name. Transcripts that are there keep the old one."""
    from infra.cli.voices.voices import rename_one

    raise typer.Exit(rename_one(bucket_of("state", bucket, project), folder, name, new_name, as_json=as_json))


@voices_app.command()
def delete(
    name: Name,
    project: Project = None,
    bucket: StateBucket = None,
    folder: Folder = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete a kept voice, with all of its recordings' embeddings. Transcripts that are there keep the name."""
    from infra.cli.voices.voices import delete_one

    check_asks(as_json=as_json, yes=yes, dry_run=False)
    raise typer.Exit(delete_one(bucket_of("state", bucket, project), folder, name, yes=yes, as_json=as_json))


@voices_app.command()
def export(
    name: Annotated[
        str | None, typer.Argument(help="Of this person alone.", metavar="NAME", show_default="all")
    ] = None,
    project: Project = None,
    bucket: StateBucket = None,
    folder: Annotated[str | None, typer.Option("--folder", help="Of this folder alone.", show_default="all")] = None,
) -> None:
    """Print what is kept, embeddings included, as one JSON object: what a person may ask for."""
    from infra.cli.voices.voices import export_voices

    raise typer.Exit(export_voices(bucket_of("state", bucket, project), folder, name))
