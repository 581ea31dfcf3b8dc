"""Checks of the buckets, and of the costs table's dataset."""

from __future__ import annotations

from collections.abc import Iterator

from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, or_ok, warn
from infra.doctor.google import Missing
from infra.doctor.names import BUCKETS
from infra.doctor.resources_deployment import Bucket
from infra.doctor.resources_project import Dataset

MAY_EXPIRE = "jobs/"
"""The state bucket's only prefix that may be deleted by age: the ledger and the open jobs are kept."""

_APPLY = "terraform apply"


def buckets(context: Context) -> Iterator[Finding]:
    """Every bucket is there, in the region, closed to the public, and deletes only what it may."""
    problems = (problem for purpose in BUCKETS for problem in _bucket_problems(context, purpose))
    yield from or_ok(problems, "buckets", f"All {len(BUCKETS)} are there, uniform access, nothing public.")


def _bucket_problems(context: Context, purpose: str) -> Iterator[Finding]:
    name = context.names.bucket(purpose)
    try:
        bucket = context.google.get(Bucket, "storage.googleapis.com", f"storage/v1/b/{name}")
    except Missing:
        yield fail("buckets", f"There is no bucket {name}.", _APPLY)
        return
    if not bucket.iam_configuration.uniform_bucket_level_access.enabled:
        fix = f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access"
        yield warn("buckets", f"{name} has access lists on single objects.", fix)
    if bucket.iam_configuration.public_access_prevention != "enforced":
        fix = f"gcloud storage buckets update gs://{name} --public-access-prevention"
        yield warn("buckets", f"{name} may be made public.", fix)
    if bucket.location.lower() != context.names.region:
        says = f"{name} is in {bucket.location.lower() or 'no known place'}, not in {context.names.region}."
        yield warn("buckets", says, "Traffic between regions costs money, and the trigger wants one region.")
    if purpose == "state":
        yield from _expiring_state(name, bucket)


def _expiring_state(name: str, bucket: Bucket) -> Iterator[Finding]:
    for rule in bucket.lifecycle.rule:
        prefixes = rule.condition.matches_prefix
        only_jobs = prefixes and all(prefix.startswith(MAY_EXPIRE) for prefix in prefixes)
        if rule.action.type == "Delete" and not only_jobs:
            says = f"A lifecycle rule of {name} deletes more than {MAY_EXPIRE}: the ledger too."
            yield fail("buckets", says, f"Limit the rule to the prefix {MAY_EXPIRE}: {_APPLY}")


def costs_dataset(context: Context) -> Iterator[Finding]:
    """The dataset is there."""
    name = context.names.dataset
    path = f"bigquery/v2/projects/{context.names.project}/datasets/{name}"
    yield from or_ok(_missing_dataset(context, name, path), "costs dataset", f"{name} is there.")


def _missing_dataset(context: Context, name: str, path: str) -> Iterator[Finding]:
    try:
        context.google.get(Dataset, "bigquery.googleapis.com", path)
    except Missing:
        yield fail("costs dataset", f"There is no dataset {name}.", _APPLY)
