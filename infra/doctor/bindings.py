"""Who must hold which role on what: the bindings that terraform/iam.tf makes, and the commands that make them by hand.

A test holds this table to terraform/tests/iam.tftest.hcl, which holds Terraform to it. The customer's own key
(`kms_key`) is left out: without its role no object can be written, which nobody overlooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.doctor.names import BUCKETS, COMPONENTS, TOPICS, Names


class Kind(StrEnum):
    """What has a policy of its own."""

    PROJECT = "project"
    BUCKET = "bucket"
    TOPIC = "topic"
    SUBSCRIPTION = "subscription"
    JOB = "job"
    SERVICE = "service"
    ACCOUNT = "account"
    SECRET = "secret"  # noqa: S105 - the word for it, not one
    REPOSITORY = "repository"
    DATASET = "dataset"


@dataclass(frozen=True)
class Place:
    """Something with a policy, by the name that gcloud takes."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Binding:
    """A role that a member must hold on a place; `condition`: the expression under which is enough."""

    place: Place
    role: str
    member: str
    condition: str = ""


def member_of(names: Names, component: str) -> str:
    """A component's account as policies write it."""
    return f"serviceAccount:{names.account(component)}"


def pubsub_agent(project_number: str) -> str:
    """Google's own account that dead-letters messages and writes them into BigQuery."""
    return f"serviceAccount:service-{project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"


def eventarc_agent(project_number: str) -> str:
    """Google's own account that sets up what a trigger is made of."""
    return f"serviceAccount:service-{project_number}@gcp-sa-eventarc.iam.gserviceaccount.com"


def storage_agent(project_number: str) -> str:
    """Google's own account that publishes the events of buckets."""
    return f"serviceAccount:service-{project_number}@gs-project-accounts.iam.gserviceaccount.com"


def bindings(names: Names, project_number: str, devices: Sequence[str]) -> tuple[Binding, ...]:
    """Every binding of a deployment whose jobs run on `devices` (`gpu`, `cpu`)."""
    function, job, trigger, scheduler, build, warehouse = (member_of(names, component) for component in COMPONENTS)
    pubsub, storage = pubsub_agent(project_number), storage_agent(project_number)
    project = Place(Kind.PROJECT, names.project)
    uploads, results, state, source = (Place(Kind.BUCKET, names.bucket(purpose)) for purpose in BUCKETS)
    topic = {purpose: Place(Kind.TOPIC, names.topic(purpose)) for purpose in TOPICS}
    work, costs = (Place(Kind.SUBSCRIPTION, name) for name in (names.work_subscription, names.costs_subscription))
    accounts = {one: Place(Kind.ACCOUNT, names.account(one)) for one in ("function", "trigger", "warehouse")}
    secret, dataset = Place(Kind.SECRET, names.secret), Place(Kind.DATASET, names.dataset)
    built = f'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-{project_number}-")'
    return (
        Binding(project, "roles/eventarc.eventReceiver", trigger),
        Binding(project, "roles/pubsub.publisher", storage),
        Binding(project, "roles/eventarc.serviceAgent", eventarc_agent(project_number)),
        Binding(project, "roles/logging.logWriter", build),
        Binding(project, "roles/storage.objectViewer", build, built),
        Binding(uploads, "roles/storage.objectViewer", function),
        Binding(results, "roles/storage.objectUser", function),
        Binding(state, "roles/storage.objectUser", function),
        Binding(uploads, "roles/storage.objectViewer", job),
        Binding(results, "roles/storage.objectUser", job),
        Binding(state, "roles/storage.objectUser", job),
        Binding(source, "roles/storage.objectViewer", build),
        Binding(topic["work"], "roles/pubsub.publisher", function),
        Binding(topic["results"], "roles/pubsub.publisher", function),
        Binding(topic["alerts"], "roles/pubsub.publisher", function),
        Binding(topic["results"], "roles/pubsub.publisher", job),
        Binding(topic["work-dead"], "roles/pubsub.publisher", pubsub),
        Binding(topic["results-dead"], "roles/pubsub.publisher", pubsub),
        Binding(work, "roles/pubsub.subscriber", job),
        Binding(work, "roles/pubsub.subscriber", pubsub),
        Binding(costs, "roles/pubsub.subscriber", pubsub),
        *(Binding(Place(Kind.JOB, names.job(device)), "roles/run.invoker", function) for device in devices),
        Binding(Place(Kind.SERVICE, names.function("upload")), "roles/run.invoker", trigger),
        Binding(Place(Kind.SERVICE, names.function("reconcile")), "roles/run.invoker", scheduler),
        Binding(accounts["function"], "roles/iam.serviceAccountTokenCreator", function),
        Binding(accounts["trigger"], "roles/iam.serviceAccountTokenCreator", pubsub),
        Binding(accounts["warehouse"], "roles/iam.serviceAccountTokenCreator", pubsub),
        Binding(secret, "roles/secretmanager.secretAccessor", function),
        Binding(secret, "roles/secretmanager.secretAccessor", job),
        Binding(Place(Kind.REPOSITORY, names.repository), "roles/artifactregistry.writer", build),
        Binding(Place(Kind.REPOSITORY, names.name), "roles/artifactregistry.writer", build),
        Binding(dataset, "roles/bigquery.dataEditor", warehouse),
        Binding(dataset, "roles/bigquery.metadataViewer", warehouse),
    )


def grant_command(binding: Binding, names: Names) -> str:
    """What adds the binding; `terraform apply` adds all of them."""
    place, project = binding.place, names.project
    if place.kind is Kind.DATASET:
        grant = f'GRANT `{binding.role}` ON SCHEMA `{project}.{place.name}` TO "{binding.member}"'
        return f"bq query --project_id={project} --use_legacy_sql=false '{grant}'"
    condition = ""
    if place.kind is Kind.PROJECT:
        wanted = f"expression={binding.condition},title={names.name}" if binding.condition else "None"
        condition = f" --condition='{wanted}'"
    where = _GCLOUD[place.kind].format(name=place.name, project=f"--project={project}", region=names.region)
    return f"gcloud {where} --member={binding.member} --role={binding.role}{condition}"


_GCLOUD = {
    Kind.PROJECT: "projects add-iam-policy-binding {name}",
    Kind.BUCKET: "storage buckets add-iam-policy-binding gs://{name}",
    Kind.TOPIC: "pubsub topics add-iam-policy-binding {name} {project}",
    Kind.SUBSCRIPTION: "pubsub subscriptions add-iam-policy-binding {name} {project}",
    Kind.JOB: "run jobs add-iam-policy-binding {name} {project} --region={region}",
    Kind.SERVICE: "run services add-iam-policy-binding {name} {project} --region={region}",
    Kind.ACCOUNT: "iam service-accounts add-iam-policy-binding {name} {project}",
    Kind.SECRET: "secrets add-iam-policy-binding {name} {project}",
    Kind.REPOSITORY: "artifacts repositories add-iam-policy-binding {name} {project} --location={region}",
}
"""gcloud's reference, November 2026 (read, never run here)."""
