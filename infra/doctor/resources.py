"""What the doctor reads of Google's answers: JSON in its spelling. Fields at their default are left out of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """JSON in Google's spelling."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class UserInfo(Answer):
    """oauth2 userinfo."""

    email: str = ""


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


class SecretVariable(Answer):
    """An environment variable out of a secret."""

    key: str = ""
    secret: str = ""
    version: str = ""


class ServiceConfig(Answer):
    """How a function runs."""

    environment_variables: Mapping[str, str] = {}
    secret_environment_variables: tuple[SecretVariable, ...] = ()


class StateMessage(Answer):
    """Why a function is in its state."""

    message: str = ""


class CloudFunction(Answer):
    """cloudfunctions v2 Function."""

    state: str = ""
    state_messages: tuple[StateMessage, ...] = ()
    service_config: ServiceConfig = ServiceConfig()


class RunCondition(Answer):
    """run v2 Condition."""

    state: str = ""
    message: str = ""


class ExecutionReference(Answer):
    """A job's newest execution."""

    name: str = ""
    completion_status: str = ""
    completion_time: datetime | None = None


class Container(Answer):
    """What a task runs."""

    image: str = ""


class TaskTemplate(Answer):
    """One task."""

    containers: tuple[Container, ...] = ()


class ExecutionTemplate(Answer):
    """One execution."""

    template: TaskTemplate = TaskTemplate()


class RunJob(Answer):
    """run v2 Job."""

    template: ExecutionTemplate = ExecutionTemplate()
    terminal_condition: RunCondition = RunCondition()
    latest_created_execution: ExecutionReference | None = None

    @property
    def image(self) -> str:
        """Address and tag; empty where there is none."""
        return next((container.image for container in self.template.template.containers), "")


class RpcStatus(Answer):
    """google.rpc.Status; code 0 is success."""

    code: int = 0
    message: str = ""


class SchedulerJob(Answer):
    """cloudscheduler v1 Job."""

    state: str = ""
    last_attempt_time: datetime | None = None
    status: RpcStatus = RpcStatus()


class BigQueryConfig(Answer):
    """Delivery into a table."""

    table: str = ""
    state: str = ""


class Subscription(Answer):
    """pubsub v1 Subscription."""

    bigquery_config: BigQueryConfig = BigQueryConfig()


class SecretVersion(Answer):
    """secretmanager v1 SecretVersion."""

    name: str
    state: str = ""


class SecretPayload(Answer):
    """What a version holds, in base64."""

    data: str = ""


class SecretAccess(Answer):
    """Answer of versions:access."""

    payload: SecretPayload = SecretPayload()


class PointValue(Answer):
    """A measured whole number."""

    int64_value: int = 0


class Point(Answer):
    """One measurement."""

    value: PointValue = PointValue()


class TimeSeries(Answer):
    """Measurements, the newest first."""

    points: tuple[Point, ...] = ()


class TimeSeriesPage(Answer):
    """Answer of timeSeries.list."""

    time_series: tuple[TimeSeries, ...] = ()


class ErrorDetail(Answer):
    """google.rpc.ErrorInfo, or another kind of detail."""

    reason: str = ""


class ErrorBody(Answer):
    """What `error` holds, of every API."""

    message: str = ""
    details: tuple[ErrorDetail, ...] = ()

    @property
    def says_api_off(self) -> bool:
        """Whether the API is not enabled in the project."""
        return any(detail.reason == "SERVICE_DISABLED" for detail in self.details)


class ErrorAnswer(Answer):
    """The body of a refusal."""

    error: ErrorBody
