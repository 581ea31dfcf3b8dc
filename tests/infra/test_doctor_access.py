"""Accounts and roles: the doctor wants what Terraform gives, and says what is missing, too broad or public."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from infra.doctor.bindings import Binding, Kind, Place, bindings, grant_command, member_of
from infra.doctor.names import BUCKETS, COMPONENTS, DEVICES, TOPICS, Names
from infra.doctor.policies import holds
from infra.doctor.resources_project import Condition, Policy, RoleBinding
from infra.terraform_offline.terraform import ROOT
from tests.support.deployed_project import NUMBER, grant, key_of
from tests.support.doctor_deployment import NAMES, DoctorDeployment, fixes, not_ok

TERRAFORM = ROOT / "terraform"
ALL = bindings(NAMES, NUMBER, DEVICES)
FUNCTION, JOB = member_of(NAMES, "function"), member_of(NAMES, "job")
RESULTS = Place(Kind.BUCKET, NAMES.bucket("results"))
PROJECT = Place(Kind.PROJECT, NAMES.project)


def test_the_doctor_wants_exactly_the_roles_that_terraform_gives() -> None:
    """iam.tftest.hcl holds Terraform to its lines, `PLACE ROLE MEMBER`, with short names for the accounts."""
    lines = set(re.findall(r'"((?:[^ "]+ )?roles/[^ "]+ serviceAccount:[^ "]+)"', _tftest()))
    short = {NAMES.account(component): component for component in COMPONENTS}
    agents = {f"service-{NUMBER}@gs-project-accounts.iam.gserviceaccount.com": "storage-agent"}

    def line(binding: Binding) -> str:
        mail = binding.member.removeprefix("serviceAccount:")
        member = short.get(mail) or agents.get(mail) or mail
        place = "" if binding.place.kind is Kind.PROJECT else f"{binding.place.name} "
        if binding.place.kind is Kind.ACCOUNT:
            place = f"accounts/{short[binding.place.name]} "
        return f"{place}{binding.role} serviceAccount:{member}"

    keys = {one for one in lines if "roles/cloudkms." in one}
    assert len(keys) == 1
    assert {line(binding) for binding in ALL} == lines - keys
    (condition,) = (binding.condition for binding in ALL if binding.condition)
    assert condition.replace('"', '\\"') in _tftest()


def _tftest() -> str:
    return (
        (TERRAFORM / "tests" / "iam.tftest.hcl")
        .read_text()
        .replace('"123"', f'"{NUMBER}"')
        .replace("123@", f"{NUMBER}@")
        .replace("sources-123-", f"sources-{NUMBER}-")
    )


def test_lists_and_limits_are_those_of_the_module() -> None:
    topics = re.search(r"topics = \[(.*)\]", (TERRAFORM / "pubsub.tf").read_text())
    assert topics
    assert tuple(re.findall(r'"([^"]+)"', topics[1])) == TOPICS
    storage, iam = (TERRAFORM / "storage.tf").read_text(), (TERRAFORM / "iam.tf").read_text()
    assert tuple(re.findall(r"^    (\w+) += \{ days", storage, re.MULTILINE)) == BUCKETS
    components = iam.partition("components = {")[2].partition("}")[0]
    assert tuple(re.findall(r"(\w+) +=", components)) == COMPONENTS
    variables = (TERRAFORM / "variables.tf").read_text()
    for pattern in re.findall(r'regex\("\^([^"]+)\$", var\.(?:project|region|name)\)', variables):
        assert f'"{pattern}"' in (ROOT / "infra" / "doctor" / "names.py").read_text()


@pytest.mark.parametrize("missing", ALL, ids=lambda one: f"{one.role}-{one.place.kind}-{one.member[15:40]}")
def test_each_binding_is_missed_by_itself(missing: Binding) -> None:
    """Of two bindings only the one that is there counts, whatever else the same policy has."""
    others = [one for one in ALL if one != missing]
    policy = Policy(bindings=tuple(_role_binding(one) for one in others if one.place == missing.place))
    assert not holds(policy, missing)
    assert all(holds(policy, one) for one in others if one.place == missing.place)
    assert missing.role in grant_command(missing, NAMES)
    assert missing.member in grant_command(missing, NAMES)
    assert missing.place.name in grant_command(missing, NAMES)


def _role_binding(binding: Binding) -> RoleBinding:
    condition = Condition(expression=binding.condition) if binding.condition else None
    return RoleBinding(role=binding.role, members=(binding.member,), condition=condition)


def without(binding: Binding) -> Callable[[DoctorDeployment], None]:
    def seed(deployment: DoctorDeployment) -> None:
        bound = deployment.policy(binding.place)
        bound[:] = [one for one in bound if (one["role"], one["members"]) != (binding.role, [binding.member])]

    return seed


WRITES_RESULTS = Binding(RESULTS, "roles/storage.objectUser", FUNCTION)
PULLS = Binding(Place(Kind.SUBSCRIPTION, NAMES.work_subscription), "roles/pubsub.subscriber", JOB)
READS_KEY = Binding(Place(Kind.SECRET, NAMES.secret), "roles/secretmanager.secretAccessor", JOB)


@pytest.mark.parametrize(
    ("missing", "subject", "command"),
    [
        (
            WRITES_RESULTS,
            "account function",
            "gcloud storage buckets add-iam-policy-binding gs://a-project-dropscribe-results"
            f" --member={FUNCTION} --role=roles/storage.objectUser",
        ),
        (
            PULLS,
            "account job",
            "gcloud pubsub subscriptions add-iam-policy-binding transcription-work-job --project=a-project"
            f" --member={JOB} --role=roles/pubsub.subscriber",
        ),
        (
            READS_KEY,
            "account job",
            "gcloud secrets add-iam-policy-binding dropscribe-deepgram-api-key --project=a-project"
            f" --member={JOB} --role=roles/secretmanager.secretAccessor",
        ),
    ],
)
def test_a_missing_role_fails_its_account_with_the_command(
    deployment: DoctorDeployment, missing: Binding, subject: str, command: str
) -> None:
    without(missing)(deployment)
    report = deployment.visit()
    assert not_ok(report) == {subject: {"fail"}}
    assert fixes(report, subject) == command


def test_a_role_of_a_dataset_is_granted_in_sql(deployment: DoctorDeployment) -> None:
    place = Place(Kind.DATASET, NAMES.dataset)
    deployment.resource(place)["access"] = []
    report = deployment.visit()
    assert not_ok(report) == {"account warehouse": {"fail"}}
    assert "GRANT `roles/bigquery.dataEditor` ON SCHEMA `a-project.dropscribe_costs`" in fixes(
        report, "account warehouse"
    )


def test_a_role_on_the_whole_project_works_and_is_too_broad(deployment: DoctorDeployment) -> None:
    without(WRITES_RESULTS)(deployment)
    grant(deployment.world, NAMES, Binding(PROJECT, WRITES_RESULTS.role, FUNCTION))
    assert not_ok(deployment.visit()) == {"account function": {"warn"}}


def test_a_role_on_the_one_thing_and_on_the_whole_project_too_is_too_broad(deployment: DoctorDeployment) -> None:
    grant(deployment.world, NAMES, Binding(PROJECT, WRITES_RESULTS.role, FUNCTION))
    assert not_ok(deployment.visit()) == {"account function": {"warn"}}


def test_a_role_beside_the_wanted_one_is_too_broad(deployment: DoctorDeployment) -> None:
    grant(deployment.world, NAMES, Binding(RESULTS, "roles/storage.admin", JOB))
    grant(deployment.world, NAMES, Binding(PROJECT, "roles/editor", FUNCTION))
    report = deployment.visit()
    assert not_ok(report) == {"account job": {"warn"}, "account function": {"warn"}}
    assert "remove-iam-policy-binding a-project" in fixes(report, "account function")


def test_a_role_under_another_condition_is_not_enough(deployment: DoctorDeployment) -> None:
    without(WRITES_RESULTS)(deployment)
    grant(deployment.world, NAMES, Binding(RESULTS, WRITES_RESULTS.role, FUNCTION, condition="request.time < x"))
    assert not_ok(deployment.visit()) == {"account function": {"warn"}}


@pytest.mark.parametrize("anybody", ["allUsers", "allAuthenticatedUsers"])
def test_what_is_open_to_anybody_fails(deployment: DoctorDeployment, anybody: str) -> None:
    grant(deployment.world, NAMES, Binding(RESULTS, "roles/storage.objectViewer", anybody))
    assert not_ok(deployment.visit()) == {"public access": {"fail"}}


def test_a_policy_that_may_not_be_read_is_named(deployment: DoctorDeployment) -> None:
    deployment.apis.refuse(f"{key_of(NAMES, RESULTS)}/iam", 403, "no storage.buckets.getIamPolicy")
    report = deployment.visit()
    assert not_ok(report) == {one: {"unknown"} for one in ("account function", "account job", "public access")}
    said = next(one.says for one in report.findings() if one.subject == "account job")
    assert RESULTS.name in said
    assert "storage.buckets.getIamPolicy" in said


def test_other_names_make_other_commands() -> None:
    names = Names("b-project", "europe-west4", "calls", "heard", "b-calls")
    every = bindings(names, NUMBER, ("gpu",))
    told = "\n".join(grant_command(one, names) for one in every)
    assert len({grant_command(one, names) for one in every}) == len(every) == len(ALL) - 1
    assert "--region=europe-west4" in told
    assert "gs://b-calls-uploads" in told
    assert "dropscribe" not in told
    assert "transcription" not in told
