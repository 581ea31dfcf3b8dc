"""Checks of the accounts: each exists and holds its roles, each on the one thing it is for, and nobody else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from infra.doctor.bindings import (
    Binding,
    Kind,
    Place,
    bindings,
    eventarc_agent,
    grant_command,
    member_of,
    pubsub_agent,
    storage_agent,
)
from infra.doctor.context import Context
from infra.doctor.findings import Finding, fail, or_ok, unknown, warn
from infra.doctor.google import Missing, Unanswered
from infra.doctor.names import Names
from infra.doctor.policies import holds, policy_of, public_roles, roles_of
from infra.doctor.resources_project import Policy, ServiceAccount

AGENTS: Mapping[str, Callable[[str], str]] = {
    "Pub/Sub agent": pubsub_agent,
    "Storage agent": storage_agent,
    "Eventarc agent": eventarc_agent,
}
"""Google's own accounts, which are not ours to look up."""


@dataclass
class _Policies:
    """The policies of some places, as far as they could be read."""

    read: dict[Place, Policy] = field(default_factory=dict)
    refused: dict[Place, Unanswered] = field(default_factory=dict)


def account(component: str) -> Callable[[Context], Iterator[Finding]]:
    """The check of a component's account."""

    def check(context: Context) -> Iterator[Finding]:
        names, subject = context.names, f"account {component}"
        mail = names.account(component)
        try:
            found = context.google.get(
                ServiceAccount, "iam.googleapis.com", f"v1/projects/{names.project}/serviceAccounts/{mail}"
            )
        except Missing:
            yield fail(subject, f"There is no account {mail}.", "terraform apply")
            return
        if found.disabled:
            enable = f"gcloud iam service-accounts enable {mail} --project={names.project}"
            yield fail(subject, f"{mail} is disabled.", enable)
        yield from _roles(context, subject, member_of(names, component), is_ours=True)

    return check


def agent(name: str) -> Callable[[Context], Iterator[Finding]]:
    """The check of one of Google's own accounts."""

    def check(context: Context) -> Iterator[Finding]:
        yield from _roles(context, name, AGENTS[name](context.project_number()), is_ours=False)

    return check


def public_access(context: Context) -> Iterator[Finding]:
    """Nothing of the deployment is open to anybody on the internet."""
    every = {one.place for one in bindings(context.names, context.project_number(), context.devices())}
    policies = _read(context, sorted(every, key=str))
    yield from or_ok(_public(policies), "public access", f"None, in {len(policies.read)} policies.")
    yield from _unread(policies, "public access")


def _public(policies: _Policies) -> Iterator[Finding]:
    for place, policy in policies.read.items():
        if roles := public_roles(policy):
            says = f"Anybody has {', '.join(sorted(roles))} on {place}."
            yield fail("public access", says, "Take allUsers and allAuthenticatedUsers out of its policy.")


def _roles(context: Context, subject: str, member: str, *, is_ours: bool) -> Iterator[Finding]:
    names = context.names
    every = bindings(names, context.project_number(), context.devices())
    wanted = [one for one in every if one.member == member]
    project = Place(Kind.PROJECT, names.project)
    policies = _read(context, [project, *dict.fromkeys(one.place for one in wanted if one.place != project)])
    there = [one for one in wanted if one.place in policies.read]
    lacking = [one for one in there if not holds(policies.read[one.place], one)]
    problems = [_lack(policies, one, project, subject, names) for one in lacking]
    if is_ours:
        problems += _broader(policies, wanted, lacking, member, subject)
    if problems or not policies.refused:
        roles = "its role" if len(there) == 1 else f"its {len(there)} roles"
        yield from or_ok(problems, subject, f"Holds {roles}, only where needed.")
    yield from _unread(policies, subject)


def _read(context: Context, places: list[Place]) -> _Policies:
    """What is missing is left out: the check of the thing itself says so."""
    policies = _Policies()
    for place in places:
        try:
            policies.read[place] = policy_of(context.google, context.names, place)
        except Missing:
            continue
        except Unanswered as error:
            policies.refused[place] = error
    return policies


def _unread(policies: _Policies, subject: str) -> Iterator[Finding]:
    if policies.refused:
        first = next(iter(policies.refused.values()))
        where = ", ".join(str(place) for place in policies.refused)
        yield unknown(subject, f"Policies that could not be read: {where}. {first.says}", first.fix)


def _lack(policies: _Policies, wanted: Binding, project: Place, subject: str, names: Names) -> Finding:
    """What a binding that does not stand means."""
    grant = grant_command(wanted, names)
    held = roles_of(policies.read[wanted.place], wanted.member)
    if wanted.role in held:
        return warn(subject, f"{wanted.role} on {wanted.place} holds under another condition only.", grant)
    if project in policies.read and wanted.role in roles_of(policies.read[project], wanted.member):
        says = f"{wanted.role} is held on the whole project instead of on {wanted.place} alone."
        return warn(subject, says, grant)
    beside = f" (it has {', '.join(sorted(held))} there)" if held else ""
    return fail(subject, f"{wanted.role} is missing on {wanted.place}{beside}.", grant)


def _broader(
    policies: _Policies, wanted: list[Binding], lacking: list[Binding], member: str, subject: str
) -> Iterator[Finding]:
    """Roles beside the wanted ones, but for those on the project that stand in for a lacking one: they are told of."""
    for place, policy in policies.read.items():
        meant = {one.role for one in wanted if one.place == place}
        on_project = place.kind is Kind.PROJECT
        meant |= {one.role for one in lacking} if on_project else set()
        for role in sorted(roles_of(policy, member) - meant):
            remove = f"gcloud projects remove-iam-policy-binding {place.name} --member={member} --role={role}"
            fix = remove if on_project else f"Remove {role} from the policy of {place}."
            yield warn(subject, f"{role} on {place} is more than it needs.", fix)
