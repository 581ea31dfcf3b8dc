"""The order of a first apply: what Google would refuse, or what would work only later, waits for what it needs."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from infra.terraform_offline.terraform import Workspace

APIS = "google_project_service.api"
FUNCTIONS = "google_cloudfunctions2_function.this"

NEEDS = (
    # The build's and the trigger's roles are looked at while a function is made.
    (FUNCTIONS, "google_project_iam_member.this"),
    (FUNCTIONS, "google_artifact_registry_repository_iam_member.writer"),
    (FUNCTIONS, "google_storage_bucket_iam_member.this"),
    # A revision or a job that may not read its secret is refused.
    (FUNCTIONS, "google_secret_manager_secret_iam_member.accessor"),
    ("google_cloud_run_v2_job.gpu", "google_secret_manager_secret_iam_member.accessor"),
    ("google_cloud_run_v2_job.cpu", "google_secret_manager_secret_iam_member.accessor"),
    # A bucket whose agent may not use the key is refused.
    ("google_storage_bucket.this", "google_kms_crypto_key_iam_member.storage"),
    # Pub/Sub tries whether it may write the table; the functions' build is the time in which its role gets about.
    ("google_pubsub_subscription.costs", "google_bigquery_dataset_iam_member.warehouse"),
    ("google_pubsub_subscription.costs", "google_service_account_iam_member.token_creator"),
    ("google_pubsub_subscription.costs", FUNCTIONS),
    ("google_cloud_scheduler_job.reconcile", "google_cloud_run_v2_service_iam_member.invoker"),
)


def test_everything_waits_for_what_it_needs(workspace: Workspace) -> None:
    waits_for = _order(workspace)
    assert [need for need in NEEDS if need[1] not in waits_for[need[0]]] == []


def test_a_gpu_job_that_is_refused_keeps_nothing_else_from_being_made(workspace: Workspace) -> None:
    waits_for = _order(workspace)
    assert [one for one, before in waits_for.items() if "google_cloud_run_v2_job.gpu" in before] == [
        "google_cloud_run_v2_job_iam_member.gpu_executor",
        "google_cloud_run_v2_job_iam_member.gpu_worker",
    ]


def test_nothing_is_made_before_its_api_is_on(workspace: Workspace) -> None:
    waits_for = _order(workspace)
    assert [one for one, before in waits_for.items() if one != APIS and APIS not in before] == []


def _order(workspace: Workspace) -> dict[str, set[str]]:
    """Resource -> all that is made before it."""
    assert workspace.run("init", "-backend=false").ok
    graph = workspace.run("graph", "-no-color").output
    direct: dict[str, set[str]] = defaultdict(set)
    for resource in re.findall(r'^ *"(google_[^"]+)" \[', graph, re.MULTILINE):
        direct[resource] = set()
    for later, earlier in re.findall(r'"([^"]+)" -> "([^"]+)"', graph):
        direct[later].add(earlier)
    if not any(direct.values()):
        pytest.fail(f"no graph: {graph}")
    return {one: _closure(one, direct) for one in list(direct)}


def _closure(start: str, direct: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        for earlier in direct[ahead.pop()] - reached:
            reached.add(earlier)
            ahead.append(earlier)
    return reached
