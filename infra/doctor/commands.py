"""Checks that Terraform's and Google's command lines make, which work in a project whose APIs are all still off."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, ok, unknown
from infra.doctor.names import DEVICES, Names

Command = tuple[str, ...]
"""A program and its arguments; no shell reads them."""

PROGRAM_NOT_FOUND = 127
"""Exit status, as a shell has it."""

_TIMEOUT_SECONDS = 120.0
_API_OFF = re.compile("has not been used in project|not enabled on project|it is disabled|SERVICE_DISABLED")


@dataclass(frozen=True)
class CommandResult:
    """A command that ended, or that could not be run."""

    status: int
    output: str
    complaint: str


def ask(command: Command, folder: Path | None = None) -> CommandResult:
    """Run a command that changes nothing."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
        )
    except FileNotFoundError:
        return CommandResult(PROGRAM_NOT_FOUND, "", f"{command[0]} is not on the PATH.")
    except subprocess.TimeoutExpired:
        return CommandResult(1, "", f"{shlex.join(command)} did not answer within {_TIMEOUT_SECONDS:g} s.")
    return CommandResult(done.returncode, done.stdout.strip(), done.stderr.strip())


def _asked(subject: str, command: Command, fix: str) -> str | Finding:
    """What the command prints; where it fails, that the answer is not known."""
    ended = ask(command)
    if ended.status == 0:
        return ended.output
    return unknown(subject, ended.complaint.partition("\n")[0] or f"{command[0]} failed ({ended.status}).", fix)


def terraform(_: Context) -> Iterator[Finding]:
    """Terraform is there, and new enough."""
    install = "Install Terraform 1.9 or newer: https://developer.hashicorp.com/terraform/install"
    found = _asked("Terraform", ("terraform", "version"), install)
    if isinstance(found, Finding):
        yield found
    elif re.match(r"Terraform v(1\.(9|\d\d)|[2-9])", found):
        yield ok("Terraform", f"{found.partition(chr(10))[0]}.")
    else:
        yield fail("Terraform", f"Too old: {found.partition(chr(10))[0]}.", install)


def gcloud(_: Context) -> Iterator[Finding]:
    """Google Cloud's command line is there, and signed in."""
    install = "Install it: https://cloud.google.com/sdk/docs/install"
    found = _asked("gcloud", ("gcloud", "version"), install)
    if isinstance(found, Finding):
        yield found
        return
    token = _asked("gcloud", ("gcloud", "auth", "print-access-token"), "gcloud auth login --update-adc")
    yield token if isinstance(token, Finding) else ok("gcloud", f"{found.partition(chr(10))[0]}, signed in.")


def project(context: Context) -> Iterator[Finding]:
    """The project exists and is not on its way out."""
    name = context.names.project
    command = ("gcloud", "projects", "describe", name, "--format=value(lifecycleState)")
    which = "Is it the project's id? Does the account have a role on it? gcloud projects list; gcloud auth list"
    state = _asked("project", command, which)
    if isinstance(state, Finding):
        yield state
    elif state == "ACTIVE":
        yield ok("project", f"{name} is active.")
    else:
        yield fail("project", f"{name} is {state or 'in no state'}.", f"gcloud projects undelete {name}")


def billing(context: Context) -> Iterator[Finding]:
    """An open billing account is linked to the project."""
    name = context.names.project
    command = ("gcloud", "billing", "projects", "describe", name, "--format=value(billingEnabled)")
    link = f"gcloud billing projects link {name} --billing-account=ACCOUNT (gcloud billing accounts list)"
    enabled = _asked("billing", command, link)
    if isinstance(enabled, Finding):
        yield enabled
    elif enabled == "True":
        yield ok("billing", "A billing account is linked.")
    else:
        yield fail("billing", "No open billing account is linked to the project.", link)


def same_region(context: Context) -> Iterator[Finding]:
    """The deployment is not elsewhere: Terraform would delete it there, and make it anew."""
    names = context.names
    bucket = names.bucket("terraform")
    command = ("gcloud", "storage", "buckets", "list", f"--project={names.project}", f"--filter=name={bucket}",
               "--format=value(location)")  # fmt: skip
    listed = ask(command)
    location = listed.output
    if listed.status != 0 and not _API_OFF.search(listed.complaint):  # where the API is off there is no bucket
        says = listed.complaint.partition("\n")[0] or f"gcloud failed ({listed.status})."
        yield unknown("deployment's region", says, "It takes roles/storage.admin on the project.")
    elif location.lower() in ("", names.region):
        yield ok("deployment's region", f"It is in {names.region}, or new.")
    else:
        says = f"The deployment is in {location.lower()}, not in {names.region}."
        yield fail("deployment's region", says, "Another region is another deployment: DEPLOYMENT=...")


def release(context: Context) -> Iterator[Finding]:
    """Every part of the release that is asked for was built: what a rollback relies on."""
    if context.release is None:
        return
    names = context.names
    fix = f"Releases: gcloud artifacts docker tags list {names.registry}/cpu --project={names.project}"
    parts = zip((*(f"{device} image" for device in DEVICES), "archive"), built(names, context.release), strict=True)
    missing = [part for part, command in parts if ask(command).status != 0]
    if missing:
        yield fail("release", f"{context.release} has no {' and no '.join(missing)}.", fix)
    else:
        yield ok("release", f"{context.release} was built.")


def built(names: Names, release: str) -> tuple[Command, ...]:
    """Commands that all succeed where every part of the release is there: the images, and last the archive.

    Each names its project: gcloud asks under the quota project of its default configuration where none is given.
    """
    project = f"--project={names.project}"
    images = tuple(
        ("gcloud", "artifacts", "docker", "images", "describe", f"{names.registry}/{device}:{release}", project)
        for device in DEVICES
    )
    return (*images, ("gcloud", "storage", "objects", "describe", names.archive_url(release), project))


def newest_release(names: Names) -> str | None:
    """The release whose image was pushed last; None where there is none, or it cannot be asked."""
    listed = ask(
        ("gcloud", "artifacts", "docker", "images", "list", f"{names.registry}/cpu", f"--project={names.project}",
         "--include-tags", "--filter=tags:*", "--sort-by=~CREATE_TIME", "--limit=1", "--format=value(tags)")
    )  # fmt: skip
    tags = re.split(r"[,;\s]+", listed.output) if listed.status == 0 else []
    return next((tag for tag in tags if tag), None)
