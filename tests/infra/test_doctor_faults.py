"""One fault at a time: its line changes, and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import flask
import pytest

from infra.doctor.checks_project import CPU_QUOTA, GPU_QUOTA, MEMORY_QUOTA
from infra.emulators.http_server import HttpServer
from infra.rehearse.recorded_answers import job_key, subscription_key
from shared import objects
from shared.enums import JobDevice
from shared.errors import FailureKind
from shared.media import Upload
from shared.state.execution_slots import ExecutionSlots
from shared.state.gpu_breaker import Breaker, BreakerPolicy
from shared.state.jobs.object_names import marker_name, record_name
from shared.state.jobs.open_markers import QueuedUpload
from shared.state.jobs.store import JobStore
from tests.support.command_stand_ins import READY
from tests.support.doctor_deployment import KEY, NAMES, DoctorDeployment, fixes, not_ok

Seed = Callable[[DoctorDeployment], object]

UPLOAD = f"cloudfunctions.googleapis.com/v2/{NAMES.location}/functions/{NAMES.function('upload')}"
TICK = f"cloudscheduler.googleapis.com/v1/{NAMES.location}/jobs/{NAMES.name}-reconcile"
QUOTAS = (
    f"cloudquotas.googleapis.com/v1/projects/{NAMES.project}/locations/global/services/run.googleapis.com/quotaInfos"
)
QUOTA = f"{QUOTAS}/{GPU_QUOTA}"
SECRET = f"secretmanager.googleapis.com/v1/projects/{NAMES.project}/secrets/{NAMES.secret}/versions/latest"
GPU_JOB = job_key(NAMES, "gpu")
COSTS = subscription_key(NAMES, NAMES.costs_subscription)


def gone(key: str) -> Seed:
    return lambda deployment: deployment.google.resources.pop(key)


def changed(key: str, **fields: object) -> Seed:
    return lambda deployment: deployment.google.resources[key].update(fields)


def set_in(key: str, *path: str, to: object) -> Seed:
    """Change a field of a field."""

    def seed(deployment: DoctorDeployment) -> None:
        where = deployment.google.resources[key]
        for part in path[:-1]:
            where = where[part]
        where[path[-1]] = to

    return seed


def printed(command: str, status: int, output: str = "") -> Seed:
    """What a program answers."""
    return lambda deployment: deployment.commands.answer(**READY | {command: (status, output)})


def no_quota(deployment: DoctorDeployment) -> None:
    (quota,) = (one for key, one in deployment.google.resources.items() if key.startswith(QUOTA))
    quota["dimensionsInfos"][0]["details"] = {"value": "0"}


def granted(quota: str, value: int) -> Seed:
    """What a quota of Cloud Run allows."""

    def seed(deployment: DoctorDeployment) -> None:
        deployment.google.resources[f"{QUOTAS}/{quota}"]["dimensionsInfos"][0]["details"] = {"value": str(value)}

    return seed


def circuit(kind: FailureKind, *, half_open: bool = False) -> Seed:
    def seed(deployment: DoctorDeployment) -> None:
        policy = BreakerPolicy(1, timedelta(minutes=10), timedelta(0), timedelta(minutes=15))
        breaker = Breaker(deployment.state, policy)
        breaker.record_failure(kind, "a" * 24)
        if half_open:
            assert breaker.allows("b" * 24)

    return seed


def no_quota_for_more(deployment: DoctorDeployment) -> None:
    slots = ExecutionSlots(deployment.state, JobDevice.GPU, 2)
    assert slots.hold("execution/a", timedelta(hours=1))
    taken = slots.take(1, "launcher/1", timedelta(hours=1), slots.view())
    assert taken
    slots.refuse(taken, timedelta(hours=1))


def claimed(lease: timedelta) -> Seed:
    def seed(deployment: DoctorDeployment) -> None:
        upload = Upload(bucket="uploads", name="calls/a.mp3", generation=1)
        assert JobStore(deployment.state).claim(upload, "somebody", lease)

    return seed


def damaged(what: str, *, beside_stuck: bool = False) -> Seed:
    """An open job of which something cannot be read."""

    def seed(deployment: DoctorDeployment) -> None:
        upload = Upload(bucket="uploads", name="calls/damaged.mp3", generation=1)
        assert JobStore(deployment.state).claim(upload, "somebody", timedelta(hours=1))
        objects.write(deployment.state, record_name(upload.job_id), b"?")
        if what == "marker":
            objects.delete(deployment.state, record_name(upload.job_id))
            objects.write(deployment.state, marker_name(upload.job_id, 1), b"?")
        if beside_stuck:
            claimed(timedelta(hours=-1))(deployment)

    return seed


def waiting(seen_ago: timedelta) -> Seed:
    """An upload that was queued hours ago, and that the reconciler saw waiting for its turn."""

    def seed(deployment: DoctorDeployment) -> None:
        claimed(timedelta(hours=-3))(deployment)
        at, store = datetime.now(UTC), JobStore(deployment.state)
        queued = QueuedUpload(
            device=JobDevice.GPU, audio_seconds=60, queued_at=at - timedelta(hours=3), seen_at=at - seen_ago
        )
        for marker in store.markers.all():
            store.markers.mark_queued(marker.job_id, queued)

    return seed


def prices(days: int, region: str = NAMES.region) -> Seed:
    return lambda deployment: deployment.use_prices_of(datetime.now(UTC) - timedelta(days=days), region)


def silent_tick(deployment: DoctorDeployment) -> None:
    """The scheduler tried for the last time long ago."""
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    changed(TICK, lastAttemptTime=f"{long_ago:%Y-%m-%dT%H:%M:%SZ}")(deployment)


FAULTS: dict[str, tuple[Seed, str, str, str]] = {
    # what: the seed, the line that changes, its status, and a part of its fix
    "project-deleted": (printed("gcloud projects describe", 0, "DELETE_REQUESTED"), "project", "fail", "undelete"),
    "project-unseen": (printed("gcloud projects describe", 1), "project", "unknown", "gcloud projects list"),
    "no-billing": (printed("billing projects", 0, "False"), "billing", "fail", "gcloud billing projects link"),
    "api-off": (lambda p: p.google.enabled.discard("run.googleapis.com"), "APIs", "fail", "enable run.googleapis.com"),
    "quota-0": (no_quota, "GPU quota", "fail", "nvidia_l4_gpu_allocation_no_zonal_redundancy"),
    "few-cpus": (granted(CPU_QUOTA, 8_000), "CPU and memory quota", "warn", "function.max_instances"),
    "little-memory": (granted(MEMORY_QUOTA, 16 * 2**30), "CPU and memory quota", "warn", "iam-admin/quotas"),
    "new-project": (
        granted(MEMORY_QUOTA, 40 * 2**30), "CPU and memory quota", "warn",
        "Add to VARS: gpu_job = { max_parallel_tasks = 2 }. Or ask",
    ),
    "one-gpu": (granted(GPU_QUOTA, 1), "CPU and memory quota", "warn", "gpu_job = { max_parallel_tasks = 1 }. Or ask"),
    "larger-cpu-job": (
        set_in(UPLOAD, "serviceConfig", "environmentVariables", "CPU_JOB_VCPU", to="6"), "CPU and memory quota", "warn",
        "Add to VARS: cpu_job = { max_parallel_tasks = 3 }. Or ask",
    ),
    "circuit-open": (circuit(FailureKind.QUOTA), "GPU health", "fail", "GPU quota"),
    "on-trial": (circuit(FailureKind.TIMEOUT, half_open=True), "GPU health", "warn", "Wait"),
    "stale-prices": (prices(91), "price book", "warn", "PRICE_BOOK"),
    "foreign-prices": (prices(0, "europe-west4"), "price book", "warn", "us-central1"),
    "prices-gone": (lambda p: p.setenv("PRICE_BOOK", "/nowhere"), "price book", "fail", "shared/costs/prices.toml"),
    "key-refused": (lambda p: p.google.deepgram_keys.clear(), "Deepgram key", "fail", "console.deepgram.com"),
    "key-disabled": (changed(SECRET, state="DISABLED"), "Deepgram key", "fail", "gcloud secrets versions add"),
    "key-missing": (lambda p: p.google.resources.pop(SECRET), "Deepgram key", "fail", "gcloud secrets versions add"),
    "no-deepgram": (
        set_in(UPLOAD, "serviceConfig", "secretEnvironmentVariables", to=[]), "Deepgram key", "warn", "enabled = true",
    ),
    "function-failed": (changed(UPLOAD, state="FAILED"), "functions", "fail", "gcloud functions logs read"),
    "setting-refused": (
        set_in(UPLOAD, "serviceConfig", "environmentVariables", "GATHER_SECONDS", to="an hour"),
        "functions", "fail", "docs/configuration.md",
    ),
    "tick-gone": (lambda p: p.google.resources.pop(TICK), "scheduler", "fail", "make plan PROJECT="),
    "tick-paused": (changed(TICK, state="PAUSED"), "scheduler", "fail", "scheduler jobs resume"),
    "tick-fails": (changed(TICK, status={"code": 13}), "scheduler", "fail", "scheduler jobs run"),
    "tick-silent": (silent_tick, "scheduler", "warn", "scheduler jobs run"),
    "job-gone": (gone(GPU_JOB), "gpu job", "fail", "make plan PROJECT="),
    "no-image": (
        changed(GPU_JOB, terminalCondition={"state": "CONDITION_FAILED", "message": "Image 'x' not found"}),
        "gpu job", "fail", "image",
    ),
    "execution-failed": (
        set_in(GPU_JOB, "latestCreatedExecution", "completionStatus", to="EXECUTION_FAILED"),
        "gpu job", "warn", "executions describe dropscribe-gpu-abcde",
    ),
    "no-quota-for-more": (no_quota_for_more, "executions", "warn", "max_parallel_tasks"),
    "stuck-job": (claimed(timedelta(hours=-1)), "open jobs", "fail", "dropscribe explain "),
    "stuck-in-queue": (waiting(timedelta(hours=1)), "open jobs", "fail", "dropscribe explain "),
    "damaged-record": (damaged("record"), "open jobs", "warn", "docs/operations.md"),
    "damaged-marker": (damaged("marker"), "open jobs", "warn", "docs/operations.md"),
    "stuck-beside-damaged": (damaged("record", beside_stuck=True), "open jobs", "fail", "dropscribe explain "),
    "not-written": (
        set_in(COSTS, "bigqueryConfig", "state", to="PERMISSION_DENIED"), "costs table", "fail", "make plan PROJECT=",
    ),
    "costs-gone": (gone(COSTS), "costs table", "fail", "make plan PROJECT="),
    "old-work": (
        lambda p: p.google.measured.update({(NAMES.work_subscription, "oldest_unacked_message_age"): 3600}),
        "backlog", "warn", "GPU quota",
    ),
    "unredacted": (
        set_in(UPLOAD, "serviceConfig", "environmentVariables", "UNREDACTED_BUCKET", to="nowhere-unredacted"),
        "unredacted", "fail", "keep_unredacted = true",
    ),
    "dead-letters": (
        lambda p: p.google.measured.update({(NAMES.dead_letter_subscriptions[0], "num_undelivered_messages"): 2}),
        "backlog", "warn", "dropscribe dead list",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_its_own_line(deployment: DoctorDeployment, fault: str) -> None:
    seed, subject, status, fix = FAULTS[fault]
    seed(deployment)
    report = deployment.report()
    assert not_ok(report) == {subject: {status}}
    assert fix in fixes(report, subject)


@pytest.mark.parametrize(
    "seed",
    [claimed(timedelta(minutes=10)), claimed(timedelta(minutes=-10)), waiting(timedelta(minutes=10)), prices(89)],
    ids=["held", "due", "waiting", "89-days"],
)
def test_what_is_not_overdue_yet_is_no_fault(deployment: DoctorDeployment, seed: Seed) -> None:
    seed(deployment)
    assert not_ok(deployment.report()) == {}


@pytest.fixture
def callbacks(deployment: DoctorDeployment) -> Iterator[list[int]]:
    """Statuses with which the function that takes callbacks answers, one after the other."""
    statuses: list[int] = []
    app = flask.Flask("callback")
    app.add_url_rule("/", view_func=lambda: flask.Response(status=statuses.pop(0)))
    with HttpServer(app) as server:
        set_in(UPLOAD, "serviceConfig", "environmentVariables", "DEEPGRAM_CALLBACK_URL", to=f"{server.url}/")(
            deployment
        )
        set_in(UPLOAD, "serviceConfig", "environmentVariables", "DEEPGRAM_CALLBACK_KEY", to="k" * 64)(deployment)
        yield statuses


def test_deepgram_must_reach_the_function_that_takes_its_callbacks(
    deployment: DoctorDeployment, callbacks: list[int]
) -> None:
    callbacks += [405, 403, 404]
    granted(CPU_QUOTA, 100_000)(deployment)
    reports = [deployment.report() for _ in range(3)]
    subject = "Deepgram's callbacks"
    assert [not_ok(report) for report in reports] == [{}, {subject: {"fail"}}, {subject: {"fail"}}]
    assert "--member=allUsers" in fixes(reports[1], subject)
    assert "make deploy" in fixes(reports[2], subject)


def test_with_callbacks_a_new_projects_cpus_are_too_few(deployment: DoctorDeployment, callbacks: list[int]) -> None:
    callbacks.append(405)
    granted(CPU_QUOTA, 20_000)(deployment)
    report = deployment.report()
    (line,) = (one for one in report.findings() if one.subject == "CPU and memory quota")
    assert line.status == "warn"
    assert "the defaults take up to 23 and 43" in line.says
    assert "callback_function.max_instances" in line.fix


def test_a_deployment_that_needs_no_cpu_job_misses_none(deployment: DoctorDeployment) -> None:
    del deployment.google.resources[UPLOAD]["serviceConfig"]["environmentVariables"]["CPU_JOB"]
    gone(job_key(NAMES, "cpu"))(deployment)
    assert not_ok(deployment.report()) == {}


def test_without_a_gpu_in_use_its_quota_is_no_failure(deployment: DoctorDeployment) -> None:
    no_quota(deployment)
    set_in(UPLOAD, "serviceConfig", "environmentVariables", "ENABLE_GPU_TRANSCRIPTION", to="false")(deployment)
    assert not_ok(deployment.report()) == {"GPU quota": {"warn"}}


def test_without_a_gpu_job_nobody_misses_it(deployment: DoctorDeployment) -> None:
    variables = deployment.google.resources[UPLOAD]["serviceConfig"]["environmentVariables"]
    variables["ENABLE_GPU_TRANSCRIPTION"] = "false"
    variables.pop("GPU_JOB", None)
    gone(GPU_JOB)(deployment)
    no_quota(deployment)
    report = deployment.report()
    assert not_ok(report) == {"GPU quota": {"warn"}}
    assert report.deployed
    assert "release v1" in next(one.says for one in report.findings() if one.subject == "deployment")


def test_no_limit_of_cpu_and_memory_is_enough(deployment: DoctorDeployment) -> None:
    granted(CPU_QUOTA, -1)(deployment)
    granted(MEMORY_QUOTA, -1)(deployment)
    assert not_ok(deployment.report()) == {}


def test_without_its_function_a_deployment_is_looked_at_all_the_same(deployment: DoctorDeployment) -> None:
    del deployment.google.resources[UPLOAD]
    assert not_ok(deployment.report()) == {
        "functions": {"fail"},
        "Deepgram's callbacks": {"unknown"},
        "Deepgram key": {"unknown"},
    }


UNANSWERED: dict[str, tuple[Seed, str]] = {
    "refused": (lambda p: p.apis.refuse(QUOTA, 403, "Permission denied on resource"), "Somebody with roles/viewer"),
    "api-off": (
        lambda p: p.apis.refuse(QUOTA, 403, "never used", "SERVICE_DISABLED"), "enable cloudquotas.googleapis.com",
    ),
    "broken": (lambda p: p.apis.refuse(QUOTA, 500), "Try again"),
    "broken-without-words": (lambda p: p.apis.garble(QUOTA, b""), ""),
    "no-json": (lambda p: p.apis.garble(QUOTA, b"<html>502</html>"), ""),
    "other-json": (lambda p: p.apis.garble(QUOTA, b'[{"a": 1}]'), ""),
    "other-types": (lambda p: p.apis.garble(QUOTA, b'{"dimensionsInfos": 7}'), ""),
    "no-number": (lambda p: p.apis.garble(QUOTA, b'{"dimensionsInfos": [{"details": {"value": "many"}}]}'), ""),
    "not-text": (lambda p: p.apis.garble(QUOTA, b"\xff\x00"), ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNANSWERED)
def test_what_cannot_be_asked_is_unknown_and_ends_nothing(deployment: DoctorDeployment, fault: str) -> None:
    seed, fix = UNANSWERED[fault]
    seed(deployment)
    report = deployment.report()
    assert not_ok(report) == {"GPU quota": {"unknown"}}
    assert fix in fixes(report, "GPU quota")
    assert not report.failed


DEEPGRAM: dict[str, tuple[Seed, str]] = {
    "may-not-be-read": (lambda p: p.apis.refuse(f"{SECRET}:access", 403), "unknown"),
    "no-text": (lambda p: p.apis.garble(f"{SECRET}:access", b'{"payload": {"data": "/w=="}}'), "fail"),
    "no-base64": (lambda p: p.apis.garble(f"{SECRET}:access", b'{"payload": {"data": "?"}}'), "fail"),
    "two-lines": (lambda p: p.google.secrets.update({SECRET: "two\nlines"}), "fail"),
    "empty": (lambda p: p.google.secrets.update({SECRET: "\n"}), "fail"),
    "with-a-line-feed": (lambda p: p.google.secrets.update({SECRET: f"{KEY}\n"}), ""),
    "out-of-order": (lambda p: p.apis.refuse("api.deepgram.com", 500), "unknown"),
    "too-many": (lambda p: p.apis.refuse("api.deepgram.com", 429), "unknown"),
}


@pytest.mark.parametrize("fault", DEEPGRAM)
def test_only_what_deepgram_refuses_is_a_bad_key(deployment: DoctorDeployment, fault: str) -> None:
    seed, status = DEEPGRAM[fault]
    seed(deployment)
    assert not_ok(deployment.report()) == ({"Deepgram key": {status}} if status else {})


def test_an_answer_that_takes_too_long_is_unknown(deployment: DoctorDeployment) -> None:
    deployment.setenv("DOCTOR_TIMEOUT_SECONDS", "3")
    deployment.apis.stall(QUOTA, 60)
    report = deployment.report()
    assert not_ok(report) == {"GPU quota": {"unknown"}}
    assert "DOCTOR_TIMEOUT_SECONDS" in fixes(report, "GPU quota")


def test_a_service_that_is_refused_changes_only_what_asks_it(deployment: DoctorDeployment) -> None:
    deployment.apis.refuse("pubsub.googleapis.com", 403, "no")
    assert not_ok(deployment.report()) == {"costs table": {"unknown"}}


def test_nothing_at_google_may_be_looked_at(deployment: DoctorDeployment) -> None:
    for host in {key.partition("/")[0] for key in deployment.google.resources}:
        deployment.apis.refuse(host, 403, "no")
    deployment.apis.refuse("serviceusage.googleapis.com", 403, "no")
    deployment.apis.refuse("monitoring.googleapis.com", 403, "no")
    lines = not_ok(deployment.report())
    assert {status for statuses in lines.values() for status in statuses} == {"unknown"}
    assert {"region", "price book", "executions", "open jobs", "GPU health"} & set(lines) == set()


def test_a_state_bucket_that_cannot_be_read_is_unknown(deployment: DoctorDeployment) -> None:
    deployment.storage.fail_next(20, status=403, name_prefix="health/")
    assert not_ok(deployment.report()) == {"GPU health": {"unknown"}}
