"""What Google's admin APIs say of a project: a bare one, and one with a deployment as terraform/ makes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from infra.doctor.checks_project import APIS, CPU_QUOTA, GPU_QUOTA, GPU_QUOTA_METRIC, MEMORY_QUOTA
from infra.doctor.names import DEVICES, FUNCTIONS, Names
from tests.support.google_admin_apis import GoogleState, Json

NUMBER = "123456789012"
"""The project's."""
RELEASE = "v1"


def bare_project(names: Names, *, quota: int = 3) -> GoogleState:
    """A project with billing, its APIs and GPU quota, and nothing in it."""
    quotas = (
        _quota(names, GPU_QUOTA, quota, GPU_QUOTA_METRIC),
        _quota(names, CPU_QUOTA, 20_000, "run.googleapis.com/cpu_allocation"),
        _quota(names, MEMORY_QUOTA, 40 * 2**30, "run.googleapis.com/memory_allocation"),
    )
    return GoogleState(
        resources=dict(quotas),
        enabled={f"{api}.googleapis.com" for api in APIS},
    )


def _quota(names: Names, quota: str, value: int, metric: str) -> tuple[str, Json]:
    """Where a quota of Cloud Run is found, and what it says."""
    place = "locations/global/services/run.googleapis.com/quotaInfos"
    answer = {
        "name": f"projects/{NUMBER}/{place}/{quota}",
        "quotaId": quota,
        "metric": metric,
        "service": "run.googleapis.com",
        "dimensions": ["region"],
        "dimensionsInfos": [
            {
                "dimensions": {"region": names.region},
                "details": {"value": str(value)},
                "applicableLocations": [names.region],
            }
        ],
    }
    return f"cloudquotas.googleapis.com/v1/projects/{names.project}/{place}/{quota}", answer


def deployed(names: Names, deepgram_key: str) -> GoogleState:
    """The same project after a deploy of `RELEASE`, with Deepgram enabled."""
    google = bare_project(names)
    for build in (_costs, _functions, _jobs, _secret):
        google.resources.update(build(names))
    version = f"{_SECRETS}/v1/projects/{names.project}/secrets/{names.secret}/versions/latest"
    google.secrets[version] = deepgram_key
    google.deepgram_keys.add(deepgram_key)
    return google


_SECRETS = "secretmanager.googleapis.com"


def job_key(names: Names, device: str) -> str:
    """Where the job with `gpu` or `cpu` is found."""
    return f"run.googleapis.com/v2/{names.location}/jobs/{names.job(device)}"


def subscription_key(names: Names, name: str) -> str:
    """Where a subscription is found."""
    return f"pubsub.googleapis.com/v1/projects/{names.project}/subscriptions/{name}"


def _costs(names: Names) -> Iterator[tuple[str, Json]]:
    project, name = f"projects/{names.project}", names.costs_subscription
    table = f"{names.project}.{names.name}_costs.outcomes"
    yield (
        subscription_key(names, name),
        {
            "name": f"{project}/subscriptions/{name}",
            "topic": f"{project}/topics/{names.topic_prefix}-results",
            "bigqueryConfig": {"table": table, "useTableSchema": True, "state": "ACTIVE"},
            "state": "ACTIVE",
        },
    )


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
            "timeout": "3600s",
        }
        if device == "gpu":
            task["nodeSelector"] = {"accelerator": "nvidia-l4"}
        name = f"{names.location}/jobs/{names.job(device)}"
        yield (
            job_key(names, device),
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
