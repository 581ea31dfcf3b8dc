"""Answers about a project and its accounts. Fields at their default are left out of Google's JSON."""

from __future__ import annotations

from collections.abc import Mapping

from infra.doctor.answers import Answer


class UserInfo(Answer):
    """oauth2 userinfo."""

    email: str = ""


class Project(Answer):
    """cloudresourcemanager v3 Project."""

    name: str
    """`projects/NUMBER`"""
    state: str = ""


class BillingInfo(Answer):
    """cloudbilling v1 ProjectBillingInfo."""

    billing_enabled: bool = False
    billing_account_name: str = ""


class Service(Answer):
    """serviceusage v1 Service."""

    name: str
    state: str = ""


class Services(Answer):
    """Answer of services:batchGet."""

    services: tuple[Service, ...] = ()


class QuotaDetails(Answer):
    """The effective limit; -1: none."""

    value: int = 0


class DimensionsInfo(Answer):
    """A limit for some values of the dimensions, or, without them, for all others."""

    dimensions: Mapping[str, str] = {}
    details: QuotaDetails = QuotaDetails()
    applicable_locations: tuple[str, ...] = ()


class QuotaInfo(Answer):
    """cloudquotas v1 QuotaInfo."""

    dimensions_infos: tuple[DimensionsInfo, ...] = ()


class Condition(Answer):
    """When a role is held."""

    expression: str = ""


class RoleBinding(Answer):
    """Who holds a role."""

    role: str
    members: tuple[str, ...] = ()
    condition: Condition | None = None


class Policy(Answer):
    """An IAM policy."""

    bindings: tuple[RoleBinding, ...] = ()


class Access(Answer):
    """An entry of a dataset's access list."""

    role: str = ""
    user_by_email: str = ""
    iam_member: str = ""


class Dataset(Answer):
    """bigquery v2 Dataset."""

    location: str = ""
    access: tuple[Access, ...] = ()


class ServiceAccount(Answer):
    """iam v1 ServiceAccount."""

    disabled: bool = False
