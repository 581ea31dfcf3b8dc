"""What must be true before anything is made, each with its fix."""

from __future__ import annotations

from infra.deploy.options import Options, Place
from infra.deploy.steps import Check, Command
from infra.doctor.names import DEVICES


def tools() -> tuple[Check, ...]:
    """Programs that are run."""
    return (
        Check(
            "Terraform is there",
            ("terraform", "version"),
            "Install Terraform 1.9 or newer: https://developer.hashicorp.com/terraform/install",
            expects=r"^Terraform v(1\.(9|\d\d)|[2-9])",
        ),
        Check(
            "Google Cloud's command line is there",
            ("gcloud", "version"),
            "Install it: https://cloud.google.com/sdk/docs/install",
            expects="Google Cloud SDK",
        ),
    )


def access(place: Place) -> tuple[Check, ...]:
    """Credentials, project and billing."""
    return (
        Check(
            "gcloud has credentials",
            ("gcloud", "auth", "print-access-token"),
            "gcloud auth login --update-adc",
        ),
        Check(
            "Terraform and the smoke test have credentials",
            ("gcloud", "auth", "application-default", "print-access-token"),
            "gcloud auth application-default login; in CI set GOOGLE_APPLICATION_CREDENTIALS.",
        ),
        Check(
            f"Project {place.project} can be seen",
            ("gcloud", "projects", "describe", place.project, "--format=value(lifecycleState)"),
            "Is it the project's id? Does the account have a role on it? gcloud projects list; gcloud auth list",
            expects="ACTIVE",
        ),
        Check(
            "The project is billed",
            ("gcloud", "billing", "projects", "describe", place.project, "--format=value(billingEnabled)"),
            f"gcloud billing projects link {place.project} --billing-account=XXXXXX-XXXXXX-XXXXXX "
            "(gcloud billing accounts list)",
            expects="True",
        ),
    )


def region(place: Place) -> Check:
    """That the deployment is not elsewhere: Terraform would delete it there, and make it anew."""
    return Check(
        "The deployment is in this region, or new",
        ("gcloud", "storage", "buckets", "list", f"--project={place.project}",
         f"--filter=name={place.state_bucket}", "--format=value(location)"),
        "Another region is another deployment: DEPLOYMENT=...",
        expects=rf"(?i)\A({place.names.region})?\s*\Z",
    )  # fmt: skip


def release_exists(options: Options) -> tuple[Check, ...]:
    """That all of a release was built: what a rollback relies on."""
    fix = f"Releases that are there: gcloud artifacts docker tags list {options.place.registry}/gpu"
    return tuple(
        Check(f"Release {options.release} has its {what}", command, fix)
        for what, command in zip((*(f"{image} image" for image in DEVICES), "archive"), built(options), strict=True)
    )


def built(options: Options) -> tuple[Command, ...]:
    """Commands that all succeed where every part of the release is there: the images, and last the archive."""
    images = tuple(
        ("gcloud", "artifacts", "docker", "images", "describe", f"{options.place.registry}/{image}:{options.release}")
        for image in DEVICES
    )
    return (*images, ("gcloud", "storage", "objects", "describe", options.archive_url))


def before_deployment(options: Options) -> tuple[Check, ...]:
    """All checks of `make deploy`."""
    return (
        *tools(),
        *access(options.place),
        region(options.place),
        *(() if options.builds else release_exists(options)),
    )
