"""The `dropscribe` command."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.cost_options import GroupBy, output_format, parse_month
from infra.cli.dead_letters.commands import dead_app
from infra.cli.exit_codes import exit_codes_help
from infra.cli.jobs.commands import erase, explain, results, status, submit, watch
from infra.cli.jobs.upload_flags import NOTHING_ASKED, MethodChoice, UploadFlags, takes_upload_flags, upload_options
from infra.cli.operations.commands import bench, reconcile, rules
from infra.cli.options import Json, Project, StateBucket, bucket_of
from infra.cli.reruns.commands import diff, rerun
from infra.cli.voices.commands import voices_app
from shared.enums import Privacy

# Whatever takes longer to import than typer is imported by the command that needs it: --help and --version are quick.

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"dropscribe {version('dropscribe')}")
        raise typer.Exit


@app.callback()
def options_of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Transcribe audio and video files, with quotes and itemised bills."""


class PrecisionChoice(StrEnum):
    """What `--precision` takes: `Precision` of `gpu_job/asr/nemo/model_files.py`, without its imports."""

    BF16 = "bf16"
    FP32 = "fp32"
    INT8 = "int8"


class ModelFormat(StrEnum):
    """What `--format` takes."""

    NEMO = "nemo"
    ONNX = "onnx"


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A published name, a .nemo file, a folder made by prepare-model, tiny: the demo's, or tiny-de.",
        show_default="nvidia/parakeet-tdt-0.6b-v2",
    ),
]


StandardInputName = Annotated[
    str | None, typer.Option("--name", help="What to call standard input.", metavar="FILE", show_default=False)
]


@app.command(epilog=exit_codes_help())
@takes_upload_flags
def run(
    files: Annotated[
        list[str],
        typer.Argument(help="Files, folders with all that is below them, quoted patterns, or - for standard input."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("transcripts"),
    method: Annotated[
        MethodChoice, typer.Option("--method", help="Method for all files, instead of routing each.")
    ] = MethodChoice.AUTO,
    flags: UploadFlags = NOTHING_ASKED,
    privacy: Annotated[
        Privacy | None,
        typer.Option("--privacy", help="local: no audio is sent to an API. The default, unless --method needs one."),
    ] = None,
    model: Model = None,
    name: StandardInputName = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print why each file went its way, and quotes.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Print how each transcript begins.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what went wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print only one JSON message for each file.")] = False,
) -> None:
    """Transcribe FILES on this machine, with local servers in place of Google Cloud.

    \b
    dropscribe run call.mp3                results in transcripts/call.mp3/
    dropscribe run calls/ --out texts      every recording below calls/
    dropscribe run "calls/**/*.wav"        a pattern, where the shell has none
    ffmpeg -i a.mkv -f wav - | dropscribe run - --name a.wav

    Of folders, hidden files and files that are no recordings are left out, and links that lead out of them refused.
    """
    from infra.cli.local.report import Shown
    from infra.cli.local.run import RunOptions, run_files

    local = method in (MethodChoice.AUTO, MethodChoice.PARAKEET)
    privacy = privacy or (Privacy.LOCAL if local else Privacy.ANY)
    options = upload_options(flags, method, privacy)
    shown = Shown(decisions=explain, previews=preview, only_errors=quiet)
    raise typer.Exit(run_files(files, RunOptions(out, options, model, as_json, shown, name)))


@app.command()
def up(
    folder: Annotated[Path, typer.Argument(help="Folder to watch.", file_okay=False)],
    model: Model = None,
    environment: Annotated[
        Path | None,
        typer.Option("--environment", help="File to write for a shell: with it other commands reach these servers."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Of the page for a browser, on 127.0.0.1; 0: any.")
    ] = 0,
) -> None:
    """Watch FOLDER and transcribe what is put there into FOLDER/transcripts, until Ctrl-C.

    It serves a page for this machine's browser, too: to drop recordings there, see how they go, and what they cost.
    """
    from infra.cli.local.up import watch

    raise typer.Exit(watch(folder, model, environment, port))


@app.command("prepare-model")
def prepare(
    source: Annotated[str, typer.Argument(help="A .nemo file, or a name at NeMo or Hugging Face.")],
    target_dir: Annotated[Path, typer.Argument(help="Folder to create.")],
    model_format: Annotated[
        ModelFormat,
        typer.Option("--format", help="nemo: for parakeet-gpu. onnx: for parakeet-cpu."),
    ] = ModelFormat.NEMO,
    precision: Annotated[
        PrecisionChoice | None,
        typer.Option("--precision", help="Type of the weights: of nemo bf16 (default) or fp32, of onnx int8 or fp32."),
    ] = None,
) -> None:
    """Convert SOURCE into a folder that loads in a second, for PARAKEET_MODEL_NAME and --model. Takes NeMo."""
    from gpu_job.asr.nemo.model_files import Precision
    from infra.cli.prepare_model import prepare_model, prepare_onnx_model

    if model_format is ModelFormat.ONNX:
        raise typer.Exit(prepare_onnx_model(source, target_dir, Precision(precision or PrecisionChoice.INT8)))
    raise typer.Exit(prepare_model(source, target_dir, Precision(precision or PrecisionChoice.BF16)))


@app.command()
def costs(
    project: Project = None,
    bucket: StateBucket = None,
    month: Annotated[
        str | None, typer.Option("--month", help="Instead of the current month.", metavar="YYYY-MM", parser=parse_month)
    ] = None,
    by: Annotated[GroupBy | None, typer.Option("--by", help="Group by day, method or folder.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one row for each group.")] = False,
) -> None:
    """What a month cost, what it saved against Deepgram, a forecast, and what would have cost less."""
    from infra.cli.costs import print_costs

    raise typer.Exit(
        print_costs(bucket_of("state", bucket, project), month, by, output_format(as_json=as_json, as_csv=as_csv))
    )


@app.command()
def report(
    project: Project = None,
    bucket: StateBucket = None,
    month: Annotated[
        str | None, typer.Option("--month", help="Instead of the current month.", metavar="YYYY-MM", parser=parse_month)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write.", dir_okay=False, show_default="dropscribe-YYYY-MM.html"),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", envvar="MONTHLY_BUDGET_USD", min=0, help="The month's budget in dollars."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of writing a page.")] = False,
) -> None:
    """Write a page about a month: costs, savings, speed, waits, coverage, decisions, budget, and all jobs."""
    from infra.cli.report.commands import write_report

    raise typer.Exit(write_report(bucket_of("state", bucket, project), month, out, budget, as_json=as_json))


@app.command()
def estimate(
    places: Annotated[
        list[str],
        typer.Argument(metavar="FILE|gs://BUCKET/PREFIX", help="Files, folders, patterns and -, as run takes them."),
    ],
    name: StandardInputName = None,
    as_json: Json = False,
) -> None:
    """Predict method, time and cost of recordings, and of one engine for all. Nothing is transcribed."""
    from infra.cli.estimate import print_estimate

    raise typer.Exit(print_estimate(places, as_json=as_json, input_name=name))


for jobs_command in (submit, status, watch, results, erase, explain, reconcile, rules, bench):
    app.command()(jobs_command)
app.command()(rerun)
app.command()(diff)
app.add_typer(dead_app, name="dead")
app.add_typer(voices_app, name="voices")


@app.command()
def doctor(
    project: Annotated[str, typer.Option("--project", envvar="GOOGLE_CLOUD_PROJECT", help="Google Cloud project.")],
    region: Annotated[str, typer.Option("--region", help="Region of the deployment.")] = "us-central1",
    name: Annotated[str, typer.Option("--name", help="First part of the names, as given to Terraform.")] = "dropscribe",
    topic_prefix: Annotated[str, typer.Option("--topic-prefix", help="First part of topic names.")] = "transcription",
    bucket_prefix: Annotated[
        str | None,
        typer.Option("--bucket-prefix", help="First part of bucket names.", show_default="PROJECT-NAME"),
    ] = None,
    deployed: Annotated[
        bool | None,
        typer.Option("--after-deploy/--before-deploy", help="Instead of detecting a deployment."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check whether a project has what a deployment needs; each finding with its fix."""
    from infra.cli.doctor import print_report
    from infra.doctor.names import Names

    try:
        names = Names(project, region, name, topic_prefix, bucket_prefix)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    raise typer.Exit(print_report(names, deployed=deployed, as_json=as_json))


def main() -> None:
    """The console script."""
    # What a terminal or a file cannot show, such as Japanese in a Windows code page, is escaped instead of an error.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
