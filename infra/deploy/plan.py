"""The steps of `make deploy`, `make plan` and `make destroy`, as a function of their options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from infra.deploy.options import Options, Target
from infra.deploy.steps import Step
from infra.deploy.workspace import module_of
from infra.doctor.commands import Command, built

BUILD_FILE = "infra/docker/cloudbuild.yaml"
DEEPGRAM_KEY = "DEEPGRAM_API_KEY"
CALLBACK_KEY = "DEEPGRAM_CALLBACK_KEY"
WEBHOOK_KEY = "WEBHOOK_SECRETS"

FIRST_APIS = (
    "cloudbilling",
    "cloudquotas",
    "cloudresourcemanager",
    "eventarc",
    "iam",
    "pubsub",
    "serviceusage",
    "storage",
)
"""Those by which Terraform enables the others, those that the doctor asks, and those whose agents are made below."""
AGENTS = ("eventarc", "pubsub")
"""Services that act in the project under an account of their own, which a new project does not have yet."""

FOUNDATION = (
    "google_artifact_registry_repository.images",
    "google_artifact_registry_repository_iam_member.writer",
    "google_bigquery_dataset_iam_member.warehouse",
    "google_project_iam_member.this",
    "google_secret_manager_secret.api",
    "google_secret_manager_secret.callback",
    "google_secret_manager_secret.deepgram",
    "google_secret_manager_secret.webhooks",
    "google_secret_manager_secret_iam_member.accessor",
    "google_secret_manager_secret_iam_member.api",
    "google_secret_manager_secret_iam_member.callback",
    "google_secret_manager_secret_iam_member.webhooks",
    "google_service_account_iam_member.token_creator",
    "google_storage_bucket.this",
    "google_storage_bucket_iam_member.this",
)
"""What images, archive and key need to be put where jobs and functions look for them, and the roles that Google asks
about when it creates those: they take minutes to spread, and the images take longer to build."""

SCHEMA_STEP = "Show Pub/Sub an outcome and its schema"
GPU_STEP = "Look at the GPU quota"
DEEPGRAM_STEP = "Look for the Deepgram key"
API_KEYS_STEP = "Look for the API keys"

AGAIN_SECONDS = 120.0
"""Agents and roles that are minutes old are not known everywhere: Google's "Permission denied while using the Eventarc
Service Agent" was gone a minute or some later for whoever met it (Terraform's provider, issues 14584 and 25294)."""

NO_RELEASE = "none"
"""For destroy, which deploys nothing: the variable has to have some value."""


def deployment(options: Options) -> tuple[Step, ...]:
    """From nothing, or from any release, to `options.release`."""
    return (
        *_project(options.target),
        _doctor(options.target, "before"),
        *((_schema(options.target),) if options.target.has_results_schema else ()),
        *_terraform(options.target),
        _gpu(options.target),
        *((_deepgram_key_there(options.target),) if options.lacks_deepgram_key else ()),
        *(_build(options) if options.builds else ()),
        *((_deepgram_key(options.target),) if options.with_deepgram_key else ()),
        *((_callback_key(options.target),) if options.target.has_callbacks else ()),
        *((_api_keys_there(options.target),) if options.target.has_api_keys else ()),
        *((_webhook_secret(options.target),) if options.target.has_webhooks else ()),
        _apply(options),
        _doctor(options.target, "after"),
        *_proof(options.target),
    )


def comparison(target: Target, release: str) -> tuple[Step, ...]:
    """What Terraform would change, and what was changed without it; changes nothing."""
    return (
        *_terraform(target),
        _gpu(target),
        Step(
            "Compare",
            f"What exists, with the configuration and release {release}.",
            _in(target, "plan", *target.arguments(release)),
        ),
    )


def removal(target: Target) -> tuple[Step, ...]:
    """From a deployment, or what a failed one has left, to nothing."""
    unprotected = (*target.arguments(NO_RELEASE), "-var=deletion_protection=false")
    return (
        *_terraform(target),
        Step(
            "Lift the deletion protection",
            "Google and Terraform refuse to delete what is protected, and look at what was applied last.",
            _python("infra.deploy.protection", str(module_of(target.folder)), *unprotected),
        ),
        Step(
            "Delete everything",
            "Transcripts, uploads, bills and images included.",
            _in(target, "destroy", "-auto-approve", *unprotected),
            hint="A bucket that still receives objects is not empty: stop what uploads.",
        ),
    )


def _project(target: Target) -> Iterator[Step]:
    project = f"--project={target.project}"
    yield Step(
        "Enable the first APIs",
        "Terraform enables the others through them.",
        ("gcloud", "services", "enable", *(f"{api}.googleapis.com" for api in FIRST_APIS), project),
        hint="It takes roles/serviceusage.serviceUsageAdmin.",
    )
    for service in AGENTS:
        yield Step(
            f"Create the agent of {service}",
            "A new project has none until it is asked for, and roles are given to it.",
            ("gcloud", "beta", "services", "identity", "create", f"--service={service}.googleapis.com", project),
            hint="gcloud components install beta",
        )
    yield Step(
        "Create the bucket of Terraform's state",
        "Whoever deploys next, from wherever, goes on from there.",
        ("gcloud", "storage", "buckets", "create", f"gs://{target.state_bucket}", project,
         f"--location={target.names.region}", "--uniform-bucket-level-access", "--public-access-prevention"),
        done_if=(("gcloud", "storage", "buckets", "describe", f"gs://{target.state_bucket}", project),),
        hint="Bucket names are unique in the world: where this one is taken, give BUCKET_PREFIX=...",
    )  # fmt: skip
    yield Step(
        "Keep old versions of the state",
        "A state that was lost or damaged can be restored.",
        ("gcloud", "storage", "buckets", "update", f"gs://{target.state_bucket}", "--versioning", project),
    )


def _terraform(target: Target) -> Iterator[Step]:
    yield Step(
        "Copy the configuration",
        "So that this checkout stays clean, and each deployment has its own folder.",
        _python("infra.deploy.workspace", str(target.folder)),
    )
    yield Step(
        "Attach Terraform to its state",
        "It fetches Google's provider, too.",
        _in(target, "init", "-reconfigure", f"-backend-config=bucket={target.state_bucket}",
            "-backend-config=prefix=terraform"),
        hint="Where there is no such bucket, there is no deployment of this name, or it was made under other options.",
    )  # fmt: skip


def _gpu(target: Target) -> Step:
    file = () if target.variables is None else (str(target.variables.resolve()),)
    return Step(
        GPU_STEP,
        "Cloud Run refuses a job with a GPU where there is none: then the deployment goes without.",
        _python("infra.deploy.gpu", str(target.folder), target.project, target.names.region, *file),
        hint="A file of variables is given by VARS, or lies at terraform/terraform.tfvars.",
    )


def _build(options: Options) -> Iterator[Step]:
    target = options.target
    ready = built(target.names, options.release)
    *images, archive = ready
    wanted = {
        target.names.secret: options.with_deepgram_key,
        target.names.callback_secret: target.has_callbacks,
        target.names.api_keys_secret: target.has_api_keys,
        target.names.webhook_secret: target.has_webhooks,
    }
    keys_can_be_kept = tuple(
        ("gcloud", "secrets", "describe", secret, f"--project={target.project}")
        for secret, is_wanted in wanted.items()
        if is_wanted
    )
    targets = (f"-target={address}" for address in FOUNDATION)
    yield Step(
        "Create registry and buckets",
        "Jobs and functions cannot be created before their images and archive are in there.",
        _in(target, "apply", *_approval(options), *targets, *target.arguments(options.release)),
        done_if=ready + keys_can_be_kept,
        hint="An API or a role that is minutes old may not be known everywhere yet.",
        again_seconds=AGAIN_SECONDS if options.approved else None,
    )
    called = {"_NAME": target.names.name, "_REGION": target.names.region, "_RELEASE": options.release}
    if options.cached_release is not None:
        called["_CACHE_RELEASE"] = options.cached_release
    yield Step(
        "Build the images",
        "Cloud Build makes both, with the model inside, and has each transcribe a second of sound.",
        ("gcloud", "beta", "builds", "submit", ".", f"--config={BUILD_FILE}", f"--project={target.project}",
         f"--gcs-source-staging-dir={target.source_url}/builds",
         f"--substitutions={','.join(f'{name}={value}' for name, value in called.items())}"),
        done_if=tuple(images),
        hint=f"Its log: gcloud logging read resource.type=build --project={target.project} --limit=100. "
        "An image that was pushed stays as it is; a build account that is minutes old may lack its roles yet.",
    )  # fmt: skip
    archive_url = target.names.archive_url(options.release)
    path = str(target.folder / archive_url.rpartition("/")[2])
    yield Step(
        "Pack the function",
        "Its code and its pinned requirements, the same bytes each time.",
        _python("infra.deploy.archive", path),
        done_if=(archive,),
    )
    yield Step(
        "Upload the function",
        "Under the release's name, and never over another one.",
        ("gcloud", "storage", "cp", "--if-generation-match=0", path, archive_url, f"--project={target.project}"),
        done_if=(archive,),
    )


def _deepgram_key_there(target: Target) -> Step:
    return Step(
        DEEPGRAM_STEP,
        "Functions and jobs that are to have it are refused without.",
        ("gcloud", "secrets", "versions", "describe", "latest", f"--secret={target.names.secret}",
         f"--project={target.project}"),
        hint=f"deepgram.enabled is set in VARS, and the secret has no key. {DEEPGRAM_KEY}=- asks for it.",
    )  # fmt: skip


def _deepgram_key(target: Target) -> Step:
    return Step(
        "Add the Deepgram key",
        "To Secret Manager, past command lines, plans and Terraform's state.",
        ("gcloud", "secrets", "versions", "add", target.names.secret, f"--project={target.project}", "--data-file=-"),
        hint="The secret is made by a first deployment; deploy without the key where it is not there yet.",
        secret=DEEPGRAM_KEY,
    )


def _callback_key(target: Target) -> Step:
    about = "A random one, with which the addresses are signed that Deepgram posts to. Once: then it stays."
    return _random_secret(target, "Add a key for callbacks", about, target.names.callback_secret, CALLBACK_KEY)


def _webhook_secret(target: Target) -> Step:
    about = "A random one, by which receivers know that an outcome is this deployment's. Once: then it stays."
    return _random_secret(target, "Add a secret for webhooks", about, target.names.webhook_secret, WEBHOOK_KEY)


def _random_secret(target: Target, title: str, about: str, name: str, value: str) -> Step:
    secret = (name, f"--project={target.project}")
    return Step(
        title,
        about,
        ("gcloud", "secrets", "versions", "add", *secret, "--data-file=-"),
        done_if=(("gcloud", "secrets", "versions", "describe", "latest", f"--secret={secret[0]}", secret[1]),),
        hint="The secret is made with the registry, by a deploy that builds: RELEASE= alone makes none.",
        secret=value,
    )


def _api_keys_there(target: Target) -> Step:
    secret = (target.names.api_keys_secret, f"--project={target.project}")
    return Step(
        API_KEYS_STEP,
        "The API's function is refused without: its secret holds the list of keys, hashes instead of the keys.",
        ("gcloud", "secrets", "versions", "describe", "latest", f"--secret={secret[0]}", secret[1]),
        hint=f"docs/api.md says what the list is. gcloud secrets versions add {' '.join(secret)} --data-file=keys.json"
        " adds it; then deploy again.",
    )


def _doctor(target: Target, when: Literal["before", "after"]) -> Step:
    return Step(
        f"Ask the doctor, {when} the deploy",
        "Quota, APIs, prices, the Deepgram key: each line with its fix.",
        _python("infra.cli.main", "doctor", f"--project={target.project}", f"--region={target.names.region}",
                f"--name={target.names.name}", f"--bucket-prefix={target.bucket_prefix}",
                f"--topic-prefix={target.names.topic_prefix}", f"--{when}-deploy"),
        hint="Without GPU quota the CPU job does the work, and Deepgram where it has a key.",
        is_advice=True,
    )  # fmt: skip


def _schema(target: Target) -> Step:
    return Step(
        SCHEMA_STEP,
        "A topic with a schema refuses what does not fit it.",
        _python("infra.deploy.schema", target.project),
        hint="Where Pub/Sub says that the message does not fit, set results_schema = false in VARS.",
    )


def _apply(options: Options) -> Step:
    return Step(
        "Apply everything",
        f"Functions and jobs of release {options.release}, and all they need.",
        _in(options.target, "apply", *_approval(options), *options.target.arguments(options.release)),
        hint="docs/deploy.md, 'When a step fails', knows the common messages.",
        # Terraform, asked again, goes on where it stopped; where a person approves, a person says whether.
        again_seconds=AGAIN_SECONDS if options.approved else None,
    )


def _proof(target: Target) -> Iterator[Step]:
    yield Step(
        "Transcribe a recording",
        "The smoke test: a recording must come back as a transcript.",
        _python("infra.deploy.smoke", str(module_of(target.folder)), target.project),
    )
    yield Step("Print the outputs", "Buckets to upload to, and how to subscribe to outcomes.", _in(target, "output"))


def _in(target: Target, command: str, *arguments: str) -> Command:
    return ("terraform", f"-chdir={module_of(target.folder)}", command, *arguments)


def _approval(options: Options) -> tuple[str, ...]:
    return ("-auto-approve", "-input=false") if options.approved else ()


def _python(module: str, *arguments: str) -> Command:
    return (sys.executable, "-m", module, *arguments)
