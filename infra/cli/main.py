"""The `dropscribe` command."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shared.wishes import CHANNELS_METADATA, METHOD_METADATA, Channels, wishes_of

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Drop audio and video files, get transcripts and honest bills.",
)


class MethodChoice(StrEnum):
    """What `--method` takes."""

    AUTO = "auto"
    PARAKEET = "parakeet"
    HYBRID = "hybrid"
    DEEPGRAM = "deepgram"


Model = Annotated[
    str | None, typer.Option("--model", help="A name at NeMo or Hugging Face, or a path to a .nemo file.")
]


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Recordings.", exists=True, dir_okay=False, readable=True)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("transcripts"),
    method: Annotated[MethodChoice, typer.Option("--method", help="Instead of routing by length and size.")] = (
        MethodChoice.AUTO
    ),
    channels: Annotated[Channels, typer.Option("--channels", help="Hear them together, or each as one speaker.")] = (
        Channels.MIX
    ),
    model: Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one terminal message a line, and nothing else.")] = (
        False
    ),
) -> None:
    """Transcribe FILES on this machine, through a whole cloud on loopback."""
    from infra.cli.running import run_files

    wishes = wishes_of({METHOD_METADATA: method, CHANNELS_METADATA: channels})

    raise typer.Exit(run_files(files, out, wishes, model, as_json=as_json))


@app.command()
def up(
    folder: Annotated[Path, typer.Argument(help="Folder that is watched as the uploads bucket.", file_okay=False)],
    model: Model = None,
) -> None:
    """Watch FOLDER: what is dropped there is transcribed into FOLDER/transcripts, until Ctrl-C."""
    from infra.cli.watching import watch

    raise typer.Exit(watch(folder, model))


def main() -> None:
    """The console script."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
