"""Answers about the parts of a deployment. Fields at their default are left out of Google's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from infra.doctor.answers import Answer


class UniformAccess(Answer):
    """Whether object ACLs are off."""

    enabled: bool = False


class IamConfiguration(Answer):
    """How a bucket is protected."""

    uniform_bucket_level_access: UniformAccess = UniformAccess()
    public_access_prevention: str = ""


class LifecycleAction(Answer):
    """What a rule does."""

    type: str = ""


class LifecycleCondition(Answer):
    """When it does it."""

    age: int | None = None
    matches_prefix: tuple[str, ...] = ()


class LifecycleRule(Answer):
    """One rule."""

    action: LifecycleAction = LifecycleAction()
    condition: LifecycleCondition = LifecycleCondition()


class Lifecycle(Answer):
    """A bucket's rules."""

    rule: tuple[LifecycleRule, ...] = ()


class Bucket(Answer):
    """storage v1 Bucket."""

    location: str = ""
    iam_configuration: IamConfiguration = IamConfiguration()
    lifecycle: Lifecycle = Lifecycle()


class Topic(Answer):
    """pubsub v1 Topic."""

    name: str


class DeadLetterPolicy(Answer):
    """Where messages go that nobody can take."""

    dead_letter_topic: str = ""
    max_delivery_attempts: int = 5


class ExpirationPolicy(Answer):
    """When an unused subscription is deleted; no time: never."""

    ttl: str = ""


class BigQueryConfig(Answer):
    """Delivery into a table."""

    table: str = ""
    state: str = ""


class Subscription(Answer):
    """pubsub v1 Subscription."""

    topic: str = ""
    ack_deadline_seconds: int = 10
    dead_letter_policy: DeadLetterPolicy | None = None
    expiration_policy: ExpirationPolicy | None = None
    bigquery_config: BigQueryConfig | None = None
    detached: bool = False


class EventFilter(Answer):
    """Which events a trigger takes."""

    attribute: str = ""
    value: str = ""


class EventTrigger(Answer):
    """What calls a function."""

    retry_policy: str = ""
    event_filters: tuple[EventFilter, ...] = ()


class SecretVariable(Answer):
    """An environment variable out of a secret."""

    key: str = ""
    secret: str = ""
    version: str = ""


class ServiceConfig(Answer):
    """How a function runs."""

    environment_variables: Mapping[str, str] = {}
    secret_environment_variables: tuple[SecretVariable, ...] = ()
    revision: str = ""


class StateMessage(Answer):
    """Why a function is in its state."""

    message: str = ""


class CloudFunction(Answer):
    """cloudfunctions v2 Function."""

    state: str = ""
    state_messages: tuple[StateMessage, ...] = ()
    service_config: ServiceConfig = ServiceConfig()
    event_trigger: EventTrigger | None = None


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


class NodeSelector(Answer):
    """Hardware beside the usual."""

    accelerator: str = ""


class TaskTemplate(Answer):
    """One task."""

    containers: tuple[Container, ...] = ()
    node_selector: NodeSelector | None = None


class ExecutionTemplate(Answer):
    """One execution."""

    template: TaskTemplate = TaskTemplate()


class RunJob(Answer):
    """run v2 Job."""

    template: ExecutionTemplate = ExecutionTemplate()
    terminal_condition: RunCondition = RunCondition()
    latest_created_execution: ExecutionReference | None = None


class RpcStatus(Answer):
    """google.rpc.Status; code 0 is success."""

    code: int = 0
    message: str = ""


class SchedulerJob(Answer):
    """cloudscheduler v1 Job."""

    state: str = ""
    last_attempt_time: datetime | None = None
    status: RpcStatus = RpcStatus()


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
