"""The command line behind `make deploy`, `make plan` and `make destroy`."""

from __future__ import annotations

import os
import secrets
import sys
from base64 import b64encode
from dataclasses import replace
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer
from google.auth.environment_vars import GOOGLE_CLOUD_QUOTA_PROJECT
from rich.console import Console

from infra.cli.doctor import print_findings
from infra.deploy import plan
from infra.deploy.options import DEFAULT_VARIABLES, OptionError, Options, Target
from infra.deploy.release import Checkout, NoCheckoutError, checkout
from infra.deploy.runner import Runner, shell_lines
from infra.doctor.commands import newest_release
from infra.doctor.names import Names
from infra.doctor.report import preflight
from infra.doctor.settings import DoctorSettings
from infra.terraform_offline.terraform import ROOT

CALLBACK_KEY_BYTES = WEBHOOK_SECRET_BYTES = 32
"""As long as what it makes: HMAC-SHA256."""

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Project = Annotated[str, typer.Option("--project", help="Google Cloud project.")]
Region = Annotated[str, typer.Option("--region", help="One that has L4 GPUs.")]
Name = Annotated[str, typer.Option("--deployment", help="Tells two deployments of one project apart.")]
Prefix = Annotated[str | None, typer.Option("--bucket-prefix", help="Where PROJECT-DEPLOYMENT is taken.")]
Topics = Annotated[str, typer.Option("--topic-prefix", help="First part of the topics' names.")]
Variables = Annotated[Path | None, typer.Option("--vars", help="File of Terraform variables.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the commands, and run none.")]


@app.command()
def deploy(
    project: Project,
    region: Region,
    deployment: Name = "dropscribe",
    bucket_prefix: Prefix = None,
    topic_prefix: Topics = "transcription",
    variables: Variables = None,
    release: Annotated[str | None, typer.Option("--release", help="One that was built; else this checkout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Deploy uncommitted changes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before applying.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Bring a release to a project, from nothing or from any other release."""
    here = _to_build(release)
    if here is not None and here.changes is not None and not (force or dry_run):
        raise OptionError("There are uncommitted changes: commit them, or deploy them as they are with FORCE=1.")
    if not (yes or dry_run or sys.stdin.isatty()):
        raise OptionError("There is no terminal to approve what Terraform would do: YES=1 applies without asking.")
    key = _deepgram_key(dry_run=dry_run)
    options = Options(
        _target(project, region, deployment, bucket_prefix, topic_prefix, variables),
        release=here.release if here is not None else release or "",
        builds=here is not None,
        approved=yes,
        with_deepgram_key=key is not None,
    )
    if dry_run:
        print(shell_lines(plan.deployment(options)))
        return
    console = Console()
    source = "this checkout" if options.builds else "built before"
    console.print(f"Release {options.release} ({source}) to {project}, {region}.", markup=False, highlight=False)
    # Used where there is none yet.
    made = {
        plan.CALLBACK_KEY: secrets.token_hex(CALLBACK_KEY_BYTES),
        plan.WEBHOOK_KEY: f"whsec_{b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode()}",
    }
    runner = Runner(ROOT, console, made if key is None else {**made, plan.DEEPGRAM_KEY: key})
    if not _may_begin(options.target, console, None if options.builds else options.release):
        raise typer.Exit(1)
    if options.builds:
        options = replace(options, cached_release=newest_release(options.target.names))
    steps = plan.deployment(options)
    runner.announce(steps)
    raise typer.Exit(runner.run(steps))


@app.command("plan")
def compare(
    project: Project,
    region: Region,
    deployment: Name = "dropscribe",
    bucket_prefix: Prefix = None,
    topic_prefix: Topics = "transcription",
    variables: Variables = None,
    release: Annotated[str | None, typer.Option("--release", help="The one that runs; else this checkout.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Say what Terraform would change, and what was changed without it. Changes nothing."""
    target = _target(project, region, deployment, bucket_prefix, topic_prefix, variables)
    options = Options(target, release or checkout(ROOT).release, builds=False)
    steps = plan.comparison(target, options.release)
    if dry_run:
        print(shell_lines(steps))
        return
    console = Console()
    raise typer.Exit(Runner(ROOT, console, {}).run(steps) if _may_begin(target, console) else 1)


@app.command()
def destroy(
    project: Project,
    region: Region,
    deployment: Name = "dropscribe",
    bucket_prefix: Prefix = None,
    topic_prefix: Topics = "transcription",
    variables: Variables = None,
    dry_run: DryRun = False,
) -> None:
    """Delete a deployment, its transcripts included."""
    target = _target(project, region, deployment, bucket_prefix, topic_prefix, variables)
    steps = plan.removal(target)
    if dry_run:
        print(shell_lines(steps))
        return
    print(f"This deletes deployment {deployment} of project {project}: uploads, transcripts, bills, images.")
    print(f"Type the project's id to go on ({project}): ", end="", flush=True)
    if sys.stdin.readline().strip() != project:
        raise OptionError("That is not the project's id: nothing was deleted.")
    console = Console()
    status = Runner(ROOT, console, {}).run(steps) if _may_begin(target, console) else 1
    if status == 0:
        left = f"gcloud storage rm --recursive gs://{target.state_bucket} --project={project}"
        print(f"Terraform's state is kept. To delete it, too: {left}")
    raise typer.Exit(status)


def _target(
    project: str, region: str, name: str, bucket_prefix: str | None, topic_prefix: str, variables: Path | None
) -> Target:
    if variables is None and DEFAULT_VARIABLES.is_file():
        variables = DEFAULT_VARIABLES
    try:
        names = Names(project, region, name, topic_prefix, bucket_prefix)
    except ValueError as error:
        raise OptionError(f"{error}.") from None
    # What a person asks is counted against a project, in which the API has to be on. Credentials may name any, or none.
    os.environ[GOOGLE_CLOUD_QUOTA_PROJECT] = project
    return Target(names, variables)


def _may_begin(target: Target, console: Console, release: str | None = None) -> bool:
    """Whether all is there that the steps need; `release`: one that must have been built. Prints what was checked."""
    report = preflight(target.names, DoctorSettings(), release=release)
    print_findings(report, console)
    return not report.stops_deploy


def _to_build(release: str | None) -> Checkout | None:
    """This checkout; None where another release is asked for, which was built before."""
    try:
        here = checkout(ROOT)
    except NoCheckoutError:
        if release is None:
            raise
        return None
    return here if release in (None, here.release) else None


def _deepgram_key(*, dry_run: bool) -> str | None:
    """The key in the environment; a lone hyphen there: it comes on the standard input."""
    key = os.environ.get(plan.DEEPGRAM_KEY) or None
    if key != "-" or dry_run:
        return key
    return getpass("Deepgram key: ") if sys.stdin.isatty() else sys.stdin.readline().strip()


def main() -> None:
    """Run the command."""
    try:
        app()
    except (OptionError, NoCheckoutError) as error:
        print(error, file=sys.stderr)
        sys.exit(USAGE_STATUS)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_STATUS)


if __name__ == "__main__":
    main()
