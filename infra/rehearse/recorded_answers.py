"""What Google's admin APIs say of a project: a bare one, and one with a deployment as terraform/ makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from infra.doctor.checks_project import APIS, CPU_QUOTA, GIB, GPU_QUOTA, GPU_QUOTA_METRIC, MEMORY_QUOTA, MILLI_VCPU
from infra.doctor.names import DEVICES, FUNCTIONS, Names
from infra.rehearse.google_apis import GoogleState, Json

NUMBER = "123456789012"
"""The project's."""
RELEASE = "v1"


def bare_project(names: Names, *, gpus: int = 5, vcpu: int = 20, gib: int = 80) -> GoogleState:
    """A project with billing, its APIs and quota for all that the defaults ask for, and nothing in it."""
    return GoogleState(resources=quotas(names, gpus, vcpu, gib), enabled={f"{api}.googleapis.com" for api in APIS})


def quotas(names: Names, gpus: int, vcpu: int, gib: int = 40) -> dict[str, Json]:
    """What Cloud Run grants in the region: L4 GPUs, vCPU, and GiB, of which a new project has 40."""
    return dict(
        (
            _quota(names, GPU_QUOTA, gpus, GPU_QUOTA_METRIC),
            _quota(names, CPU_QUOTA, vcpu * MILLI_VCPU, "run.googleapis.com/cpu_allocation"),
            _quota(names, MEMORY_QUOTA, gib * GIB, "run.googleapis.com/memory_allocation"),
        )
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
    settings = {
        "GOOGLE_CLOUD_PROJECT": names.project,
        "RESULTS_BUCKET": names.bucket("results"),
        "STATE_BUCKET": names.bucket("state"),
        **{f"{device.upper()}_JOB": f"{names.location}/jobs/{names.job(device)}" for device in DEVICES},
    }
    key = {"key": "DEEPGRAM_API_KEY", "projectId": names.project, "secret": names.secret, "version": "latest"}
    version = f"projects/{names.project}/secrets/{names.secret}/versions"
    google.resources |= dict(
        (
            costs_subscription(names),
            scheduler(names),
            (f"{_SECRETS}/v1/{version}/latest", {"name": f"{version}/1", "state": "ENABLED"}),
            *(function(names, purpose, settings, [key]) for purpose in FUNCTIONS),
            *(job(names, device, f"{names.registry}/{device}:{RELEASE}") for device in DEVICES),
        )
    )
    google.secrets[f"{_SECRETS}/v1/{version}/latest"] = deepgram_key
    google.deepgram_keys.add(deepgram_key)
    return google


_SECRETS = "secretmanager.googleapis.com"


def job_key(names: Names, device: str) -> str:
    """Where the job with `gpu` or `cpu` is found."""
    return f"run.googleapis.com/v2/{names.location}/jobs/{names.job(device)}"


def subscription_key(names: Names, name: str) -> str:
    """Where a subscription is found."""
    return f"pubsub.googleapis.com/v1/projects/{names.project}/subscriptions/{name}"


def costs_subscription(names: Names) -> tuple[str, Json]:
    """What writes outcomes into BigQuery, and where it is found."""
    project, name = f"projects/{names.project}", names.costs_subscription
    table = f"{names.project}.{names.name}_costs.outcomes"
    return subscription_key(names, name), {
        "name": f"{project}/subscriptions/{name}",
        "topic": f"{project}/topics/{names.topic_prefix}-results",
        "bigqueryConfig": {"table": table, "useTableSchema": True, "state": "ACTIVE"},
        "state": "ACTIVE",
    }


def function(names: Names, purpose: str, environment: Mapping[str, str], secrets: Sequence[Json]) -> tuple[str, Json]:
    """One of FUNCTIONS that is started with this environment, and where it is found."""
    name = f"{names.location}/functions/{names.function(purpose)}"
    resource: Json = {
        "name": name,
        "environment": "GEN_2",
        "state": "ACTIVE",
        "serviceConfig": {"environmentVariables": dict(environment), "secretEnvironmentVariables": list(secrets)},
    }
    if purpose == "upload":
        resource["eventTrigger"] = {
            "eventType": "google.cloud.storage.object.v1.finalized",
            "retryPolicy": "RETRY_POLICY_RETRY",
            "eventFilters": [{"attribute": "bucket", "value": names.bucket("uploads")}],
        }
    return f"cloudfunctions.googleapis.com/v2/{name}", resource


def scheduler(names: Names) -> tuple[str, Json]:
    """The reconciler's tick, and where it is found."""
    tick = f"{names.location}/jobs/{names.name}-reconcile"
    answer = {"name": tick, "schedule": "*/5 * * * *", "state": "ENABLED", "lastAttemptTime": _now(), "status": {}}
    return f"cloudscheduler.googleapis.com/v1/{tick}", answer


def job(names: Names, device: str, image: str) -> tuple[str, Json]:
    """The job with `gpu` or `cpu` that runs this image, and where it is found."""
    task: Json = {"containers": [{"image": image}], "timeout": "3600s"}
    if device == "gpu":
        task["nodeSelector"] = {"accelerator": "nvidia-l4"}
    return job_key(names, device), {
        "name": f"{names.location}/jobs/{names.job(device)}",
        "template": {"taskCount": 1, "template": task},
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "latestCreatedExecution": {
            "name": f"{names.job(device)}-abcde",
            "createTime": _now(),
            "completionTime": _now(),
            "completionStatus": "EXECUTION_SUCCEEDED",
        },
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
