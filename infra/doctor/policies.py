"""The IAM policy of each kind of place, and what a member holds there."""

from __future__ import annotations

from collections.abc import Iterator

from infra.doctor.bindings import Binding, Kind, Place
from infra.doctor.google import Google
from infra.doctor.names import Names
from infra.doctor.resources_project import Dataset, Policy, RoleBinding

_VERSION = 3
"""Of policies: older ones hide conditions."""

_BASIC_ROLES = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}
"""BigQuery's access lists have these words for roles (bigquery v2, Dataset.access)."""

PUBLIC = ("allUsers", "allAuthenticatedUsers")


def policy_of(google: Google, names: Names, place: Place) -> Policy:
    """Who may do what there. Raises Unanswered."""
    project, version = names.project, {"options.requestedPolicyVersion": _VERSION}
    match place.kind:
        case Kind.PROJECT:
            body = {"options": {"requestedPolicyVersion": _VERSION}}
            return google.post(
                Policy, "cloudresourcemanager.googleapis.com", f"v3/projects/{project}:getIamPolicy", body
            )
        case Kind.ACCOUNT:
            path = f"v1/projects/{project}/serviceAccounts/{place.name}:getIamPolicy"
            return google.post(Policy, "iam.googleapis.com", path, {})
        case Kind.BUCKET:
            query = {"optionsRequestedPolicyVersion": _VERSION}
            return google.get(Policy, "storage.googleapis.com", f"storage/v1/b/{place.name}/iam", query)
        case Kind.DATASET:
            path = f"bigquery/v2/projects/{project}/datasets/{place.name}"
            return Policy(bindings=tuple(_access(google.get(Dataset, "bigquery.googleapis.com", path))))
        case Kind.TOPIC:
            host, path = "pubsub.googleapis.com", f"v1/projects/{project}/topics/{place.name}"
        case Kind.SUBSCRIPTION:
            host, path = "pubsub.googleapis.com", f"v1/projects/{project}/subscriptions/{place.name}"
        case Kind.JOB:
            host, path = "run.googleapis.com", f"v2/{names.location}/jobs/{place.name}"
        case Kind.SERVICE:
            host, path = "run.googleapis.com", f"v2/{names.location}/services/{place.name}"
        case Kind.SECRET:
            host, path = "secretmanager.googleapis.com", f"v1/projects/{project}/secrets/{place.name}"
        case Kind.REPOSITORY:
            host, path = "artifactregistry.googleapis.com", f"v1/{names.location}/repositories/{place.name}"
    return google.get(Policy, host, f"{path}:getIamPolicy", version)


def _access(dataset: Dataset) -> Iterator[RoleBinding]:
    """A dataset's access list as a policy."""
    for access in dataset.access:
        member = access.iam_member or (f"serviceAccount:{access.user_by_email}" if access.user_by_email else "")
        if member and access.role:
            yield RoleBinding(role=_BASIC_ROLES.get(access.role, access.role), members=(member,))


def holds(policy: Policy, binding: Binding) -> bool:
    """Whether the member has the role there, always or under the condition that is enough."""
    return any(
        one.role == binding.role
        and binding.member in one.members
        and (one.condition is None or one.condition.expression == binding.condition)
        for one in policy.bindings
    )


def roles_of(policy: Policy, member: str) -> set[str]:
    """Every role that the member has there, conditions aside."""
    return {one.role for one in policy.bindings if member in one.members}


def public_roles(policy: Policy) -> set[str]:
    """What anybody on the internet may do there."""
    return {one.role for one in policy.bindings if any(member in PUBLIC for member in one.members)}
