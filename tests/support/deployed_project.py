"""What Google's admin APIs know of a project: a bare one, and one with a deployment as terraform/ makes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from infra.doctor.bindings import Binding, Kind, Place, bindings
from infra.doctor.checks_project import APIS, GPU_QUOTA, GPU_QUOTA_METRIC
from infra.doctor.names import BUCKETS, COMPONENTS, DEVICES, FUNCTIONS, KEPT, TOPICS, Names
from tests.support.google_admin_apis import Json, World

NUMBER = "123456789012"
"""The project's."""
RELEASE = "v1"


def bare_project(names: Names, *, quota: int = 3) -> World:
    """A project with billing, its APIs and GPU quota, and nothing in it."""
    project = f"projects/{names.project}"
    quota_path = f"cloudquotas.googleapis.com/v1/{project}/locations/global/services/run.googleapis.com/quotaInfos"
    return World(
        resources={
            f"cloudresourcemanager.googleapis.com/v3/{project}": {
                "name": f"projects/{NUMBER}",
                "projectId": names.project,
                "state": "ACTIVE",
                "displayName": names.project,
            },
            f"cloudbilling.googleapis.com/v1/{project}/billingInfo": {
                "name": f"{project}/billingInfo",
                "projectId": names.project,
                "billingAccountName": "billingAccounts/012345-6789AB-CDEF01",
                "billingEnabled": True,
            },
            f"{quota_path}/{GPU_QUOTA}": {
                "name": f"projects/{NUMBER}/locations/global/services/run.googleapis.com/quotaInfos/{GPU_QUOTA}",
                "quotaId": GPU_QUOTA,
                "metric": GPU_QUOTA_METRIC,
                "service": "run.googleapis.com",
                "dimensions": ["region"],
                "dimensionsInfos": [
                    {
                        "dimensions": {"region": names.region},
                        "details": {"value": str(quota)},
                        "applicableLocations": [names.region],
                    }
                ],
            },
        },
        policies={f"cloudresourcemanager.googleapis.com/v3/{project}": []},
        enabled={f"{api}.googleapis.com" for api in APIS},
    )


def deployed(names: Names, deepgram_key: str) -> World:
    """The same project after a deploy of `RELEASE`, with Deepgram enabled."""
    world = bare_project(names)
    for build in (_storage, _pubsub, _accounts, _functions, _jobs, _secret):
        world.resources.update(build(names))
    version = f"{_SECRETS}/v1/projects/{names.project}/secrets/{names.secret}/versions/latest"
    world.secrets[version] = deepgram_key
    world.deepgram_keys.add(deepgram_key)
    for binding in bindings(names, NUMBER, DEVICES):
        grant(world, names, binding)
    return world


_SECRETS = "secretmanager.googleapis.com"


def grant(world: World, names: Names, binding: Binding) -> None:
    """Add a binding to the policy of its place."""
    if binding.place.kind is Kind.DATASET:
        # BigQuery keeps its oldest roles under their old names.
        role = {"roles/bigquery.dataEditor": "WRITER"}.get(binding.role, binding.role)
        access = {"role": role, "userByEmail": binding.member.removeprefix("serviceAccount:")}
        world.resources[key_of(names, binding.place)].setdefault("access", []).append(access)
        return
    entry: Json = {"role": binding.role, "members": [binding.member]}
    if binding.condition:
        entry["condition"] = {"title": names.name, "expression": binding.condition}
    world.policies.setdefault(key_of(names, binding.place), []).append(entry)


def key_of(names: Names, place: Place) -> str:
    """Where a place and its policy are found."""
    project = f"projects/{names.project}"
    parent = {
        Kind.PROJECT: "cloudresourcemanager.googleapis.com/v3/projects",
        Kind.BUCKET: "storage.googleapis.com/storage/v1/b",
        Kind.TOPIC: f"pubsub.googleapis.com/v1/{project}/topics",
        Kind.SUBSCRIPTION: f"pubsub.googleapis.com/v1/{project}/subscriptions",
        Kind.JOB: f"run.googleapis.com/v2/{names.location}/jobs",
        Kind.SERVICE: f"run.googleapis.com/v2/{names.location}/services",
        Kind.ACCOUNT: f"iam.googleapis.com/v1/{project}/serviceAccounts",
        Kind.SECRET: f"{_SECRETS}/v1/{project}/secrets",
        Kind.REPOSITORY: f"artifactregistry.googleapis.com/v1/{names.location}/repositories",
        Kind.DATASET: f"bigquery.googleapis.com/bigquery/v2/{project}/datasets",
    }
    return f"{parent[place.kind]}/{place.name}"


def _storage(names: Names) -> Iterator[tuple[str, Json]]:
    for purpose in BUCKETS:
        rules: list[Json] = [{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}]
        if purpose == "state":
            condition = {"age": 90, "matchesPrefix": ["jobs/"]}
            rules.append({"action": {"type": "Delete"}, "condition": condition})
        yield (
            key_of(names, Place(Kind.BUCKET, names.bucket(purpose))),
            {
                "kind": "storage#bucket",
                "name": names.bucket(purpose),
                "projectNumber": NUMBER,
                "location": names.region.upper(),
                "locationType": "region",
                "iamConfiguration": {
                    "uniformBucketLevelAccess": {"enabled": True},
                    "publicAccessPrevention": "enforced",
                },
                "lifecycle": {"rule": rules},
            },
        )
    dataset = {"projectId": names.project, "datasetId": names.dataset}
    place = Place(Kind.DATASET, names.dataset)
    yield key_of(names, place), {"kind": "bigquery#dataset", "datasetReference": dataset, "location": names.region}


def _pubsub(names: Names) -> Iterator[tuple[str, Json]]:
    project = f"projects/{names.project}"
    for purpose in TOPICS:
        name = names.topic(purpose)
        yield key_of(names, Place(Kind.TOPIC, name)), {"name": f"{project}/topics/{name}", "state": "ACTIVE"}
    subscriptions = {
        names.work_subscription: ("work", "work-dead", 60),
        names.costs_subscription: ("results", "results-dead", 10),
        **{names.kept(purpose): (purpose, None, 10) for purpose in KEPT},
    }
    for name, (topic, dead, seconds) in subscriptions.items():
        resource: Json = {
            "name": f"{project}/subscriptions/{name}",
            "topic": f"{project}/topics/{names.topic(topic)}",
            "ackDeadlineSeconds": seconds,
            "messageRetentionDuration": "604800s",
            "expirationPolicy": {},
            "state": "ACTIVE",
        }
        if dead is not None:
            dead_topic = f"{project}/topics/{names.topic(dead)}"
            resource["deadLetterPolicy"] = {"deadLetterTopic": dead_topic, "maxDeliveryAttempts": 20}
        if name == names.costs_subscription:
            table = f"{names.project}.{names.dataset}.outcomes"
            resource["bigqueryConfig"] = {"table": table, "useTableSchema": True, "state": "ACTIVE"}
        yield key_of(names, Place(Kind.SUBSCRIPTION, name)), resource


def _accounts(names: Names) -> Iterator[tuple[str, Json]]:
    for component in COMPONENTS:
        mail = names.account(component)
        resource = {"name": f"projects/{names.project}/serviceAccounts/{mail}", "email": mail}
        yield key_of(names, Place(Kind.ACCOUNT, mail)), {**resource, "projectId": names.project}


def _functions(names: Names) -> Iterator[tuple[str, Json]]:
    secret = {"key": "DEEPGRAM_API_KEY", "projectId": names.project, "secret": names.secret, "version": "latest"}
    for purpose in FUNCTIONS:
        name = f"{names.location}/functions/{names.function(purpose)}"
        resource: Json = {
            "name": name,
            "environment": "GEN_2",
            "state": "ACTIVE",
            "serviceConfig": {
                "environmentVariables": {
                    "GPU_JOB": f"{names.location}/jobs/{names.job('gpu')}",
                    "CPU_JOB": f"{names.location}/jobs/{names.job('cpu')}",
                },
                "secretEnvironmentVariables": [secret],
                "serviceAccountEmail": names.account("function"),
            },
        }
        if purpose == "upload":
            resource["eventTrigger"] = {
                "eventType": "google.cloud.storage.object.v1.finalized",
                "retryPolicy": "RETRY_POLICY_RETRY",
                "eventFilters": [{"attribute": "bucket", "value": names.bucket("uploads")}],
            }
        yield f"cloudfunctions.googleapis.com/v2/{name}", resource
    tick = f"{names.location}/jobs/{names.name}-reconcile"
    yield (
        f"cloudscheduler.googleapis.com/v1/{tick}",
        {"name": tick, "schedule": "*/5 * * * *", "state": "ENABLED", "lastAttemptTime": _now(), "status": {}},
    )


def _jobs(names: Names) -> Iterator[tuple[str, Json]]:
    for device in DEVICES:
        task: Json = {
            "containers": [{"image": f"{names.region}-docker.pkg.dev/{names.project}/{names.name}/{device}:{RELEASE}"}],
            "serviceAccount": names.account("job"),
            "timeout": "3600s",
        }
        if device == "gpu":
            task["nodeSelector"] = {"accelerator": "nvidia-l4"}
        name = f"{names.location}/jobs/{names.job(device)}"
        yield (
            key_of(names, Place(Kind.JOB, names.job(device))),
            {
                "name": name,
                "template": {"taskCount": 1, "template": task},
                "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
                "latestCreatedExecution": {
                    "name": f"{names.job(device)}-abcde",
                    "createTime": _now(),
                    "completionTime": _now(),
                    "completionStatus": "EXECUTION_SUCCEEDED",
                },
            },
        )


def _secret(names: Names) -> Iterator[tuple[str, Json]]:
    version = f"projects/{names.project}/secrets/{names.secret}/versions"
    yield f"{_SECRETS}/v1/{version}/latest", {"name": f"{version}/1", "state": "ENABLED"}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
