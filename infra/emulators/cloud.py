"""The laptop cloud: every service of a deployment on loopback, wired as in Google Cloud, with the production code."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import requests
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1
from google.cloud.storage import Client

from gpu_job.settings import JobSettings
from infra.emulators.deepgram_server import DeepgramServer
from infra.emulators.eventarc import Eventarc
from infra.emulators.executions import LocalJob
from infra.emulators.function_host import FunctionHost
from infra.emulators.processes import ProcessGroup
from infra.emulators.pubsub.server import PubSubServer
from infra.emulators.run_server import RunServer
from infra.emulators.server import Server
from infra.emulators.service_account import inherited_environment, write_service_account
from infra.emulators.storage.server import StorageServer
from infra.emulators.webhooks.push import PushSubscription
from infra.process_environment import environment
from infra.tiny_parakeet import ONNX_PATH
from shared.state.deployment import prices_of
from trigger_function.api.settings import ApiSettings
from trigger_function.settings.function import FunctionSettings

_log = logging.getLogger(__name__)

PROJECT, REGION = "laptop", "us-central1"
UPLOADS, RESULTS, STATE = "uploads", "results", "state"
RESULTS_TOPIC, WORK_TOPIC, DEAD_TOPIC = "transcription-results", "transcription-work", "transcription-work-dead"
ALERTS_TOPIC, EVENTS_TOPIC = "transcription-alerts", "transcription-events"
WORK_SUBSCRIPTION = "transcription-work-job"
WEBHOOK_SUBSCRIPTION = "transcription-results-webhook"
DEAD_SUBSCRIPTION = "transcription-work-dead-kept"
JOB = f"projects/{PROJECT}/locations/{REGION}/jobs/transcribe"
DEEPGRAM_KEY = "laptop"
FUNCTION = Path(__file__).parents[2] / "trigger_function" / "main.py"
LOCAL_WEBHOOKS = Path(__file__).parent / "webhooks" / "function.py"
RECONCILE_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class CloudOptions:
    """What may differ between two laptop clouds."""

    model: str = str(ONNX_PATH)
    reconcile_seconds: float = 30.0
    """How often the scheduler calls the reconciler."""
    event_backoff_seconds: float = 1.0
    """First pause before an event is delivered again."""
    item_backoff_seconds: tuple[float, float] = (10.0, 600.0)
    """Shortest and longest time for which a work item is held back after a failed delivery: Terraform's."""
    deepgram: bool = True
    """Whether a Deepgram key is configured."""
    method: Literal["auto", "parakeet", "hybrid", "deepgram"] = "parakeet"
    """What becomes of uploads that ask for no method: the job, for a laptop has no other engine; `auto`: the policy."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More environment for function and job."""
    job_settings: Mapping[str, str] = field(default_factory=dict)
    """More environment for the job alone."""
    api: bool = False
    """Whether the HTTP API is served, by a process of its own."""
    stop_grace_seconds: float = 10.0
    """What processes have to end by themselves, at `stop()`, as in Cloud Run; 0: a cloud that is thrown away."""


class LaptopCloud(Server):
    """A whole deployment in `root`: its objects, logs and keys. `start()` returns when an upload can be dropped."""

    storage_server_type: type[StorageServer] = StorageServer
    run_server_type: type[RunServer] = RunServer
    deepgram_server_type: type[DeepgramServer] = DeepgramServer
    """Tests put servers here that fail on demand."""
    pubsub_server_type: Callable[[], PubSubServer] = PubSubServer
    job_command: tuple[str, ...] = (sys.executable, "-m", "gpu_job")
    """What an execution runs; benchmarks put a job without an engine here."""
    process_type: type[ProcessGroup] = ProcessGroup
    """How the function's and the job's processes are started."""

    def __init__(self, root: Path, options: CloudOptions | None = None) -> None:
        self.root = root
        self.options = options or CloudOptions()
        root.mkdir(parents=True, exist_ok=True)
        self.logs = root / "logs"
        self.logs.mkdir(exist_ok=True)
        key = root / "service-account.json"
        public_key = write_service_account(key, PROJECT)
        self.eventarc = Eventarc(first_backoff=self.options.event_backoff_seconds)
        self.storage_server = self.storage_server_type(root / "objects", self._finalized, public_key)
        self.deepgram = self.deepgram_server_type(
            self.options.model, DEEPGRAM_KEY, self.logs / "deepgram.log", self.process_type
        )
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        self._pubsub = None if emulator else self.pubsub_server_type()
        self._pubsub_address = emulator or (self._pubsub.address if self._pubsub else "")
        self.environment = self._environment(key)
        job_environment = {**self.environment, **self.options.job_settings}
        job = LocalJob(JOB, self.job_command, job_environment)
        self.runner = self.run_server_type([job], self.logs, self.options.stop_grace_seconds, self.process_type)
        # The server knows its jobs, and both sides know the server: workers start executions, too.
        self.environment["RUN_ENDPOINT"] = job_environment["RUN_ENDPOINT"] = self.runner.url
        self._callback = self._callback_host()
        self._on_upload = self._host("on_upload", "cloudevent")
        self._reconcile = self._host("reconcile", "http")
        self._api = self._api_host()
        self.environment["RECONCILE_URL"] = self._reconcile.url
        self._webhook = self._webhook_host()
        self._stack = ExitStack()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start every server, or none: what was started is stopped again where one fails.

        Raises as `check_settings` does, and FunctionFailed.
        """
        check_settings(self.options)
        with ExitStack() as starting:
            starting.enter_context(self.storage_server)
            if self._pubsub:
                starting.enter_context(self._pubsub)
            self._create_resources()
            starting.enter_context(self.deepgram)
            starting.enter_context(self.runner)
            # Both at once: each imports for seconds.
            for function in self.functions:
                starting.callback(function.stop)
                function.launch()
            for function in self.functions:
                function.wait_until_ready()
            self.eventarc.url = self._on_upload.url
            starting.enter_context(self.eventarc)
            starting.enter_context(self._pushed_webhooks())
            starting.enter_context(self._scheduler())
            # A function that cannot work shows here, at once, rather than as an event that is retried for a day.
            try:
                self.reconcile()
            except requests.HTTPError as error:
                raise self._reconcile.failure("answers with an error") from error
            self._stack = starting.pop_all()

    def stop(self) -> None:
        """Stop every server and process, in the opposite order."""
        self._stack.close()

    @property
    def functions(self) -> tuple[FunctionHost, ...]:
        """The function that takes events, the reconciler, and what takes Deepgram's callbacks, the HTTP API, and what
        posts outcomes, where there are such."""
        more = (self._callback, self._api, self._webhook)
        return (self._on_upload, self._reconcile, *(one for one in more if one is not None))

    @property
    def api_url(self) -> str | None:
        """Of the HTTP API; None where it is not served."""
        return self._api.url if self._api is not None else None

    def storage(self) -> Client:
        """Google's storage client, connected to this cloud."""
        options = ClientOptions(api_endpoint=self.storage_server.url)
        return Client(project=PROJECT, credentials=AnonymousCredentials(), client_options=options)

    def subscriber(self) -> pubsub_v1.SubscriberClient:
        """Google's subscriber client, connected to this cloud."""
        with environment({**os.environ, "PUBSUB_EMULATOR_HOST": self._pubsub_address}):
            return pubsub_v1.SubscriberClient()

    def publisher(self) -> pubsub_v1.PublisherClient:
        """Google's publisher client, connected to this cloud."""
        with environment({**os.environ, "PUBSUB_EMULATOR_HOST": self._pubsub_address}):
            return pubsub_v1.PublisherClient()

    def reconcile(self) -> dict[str, int]:
        """Call the reconciler once; its counts."""
        response = requests.post(self._reconcile.url, timeout=RECONCILE_TIMEOUT_SECONDS)
        response.raise_for_status()
        counts: dict[str, int] = response.json()
        return counts

    def _callback_host(self) -> FunctionHost | None:
        """None where no setting asks for it: its process would wait for calls about hours of audio."""
        if not self.options.deepgram or "DEEPGRAM_CALLBACK_MINUTES" not in self.environment:
            return None
        self.environment.setdefault("DEEPGRAM_CALLBACK_KEY", secrets.token_hex(32))
        host = self._host("deepgram_callback", "http")
        self.environment["DEEPGRAM_CALLBACK_URL"] = host.url
        return host

    def _api_host(self) -> FunctionHost | None:
        if not self.options.api:
            return None
        host = self._host("api", "http")
        # Pages of the Internet that a browser on this machine shows must not reach it by a name of theirs.
        port = host.url.rpartition(":")[2]
        self.environment.setdefault("API_HOSTS", f"127.0.0.1:{port},localhost:{port}")
        return host

    def _webhook_host(self) -> FunctionHost | None:
        """None where outcomes are posted to nobody."""
        if not (self.environment.get("WEBHOOK_URLS") or self.environment.get("WEBHOOK_ALLOWED_ORIGINS")):
            return None
        # Without one, nobody here wants to check what is posted.
        self.environment.setdefault("WEBHOOK_SECRETS", f"whsec_{b64encode(secrets.token_bytes(32)).decode()}")
        return self._host("webhook", "http", LOCAL_WEBHOOKS)

    @contextmanager
    def _pushed_webhooks(self) -> Iterator[None]:
        """Terraform's push subscription on the topic of results, where outcomes are posted."""
        if self._webhook is None:
            yield
            return
        subscriber = self.subscriber()
        subscription = subscriber.subscription_path(PROJECT, WEBHOOK_SUBSCRIPTION)
        subscriber.create_subscription(
            request={
                "name": subscription,
                "topic": f"projects/{PROJECT}/topics/{RESULTS_TOPIC}",
                "ack_deadline_seconds": 100,
                "retry_policy": {
                    "minimum_backoff": timedelta(seconds=self.options.event_backoff_seconds),
                    "maximum_backoff": timedelta(seconds=600),
                },
            }
        )
        with PushSubscription(subscriber, subscription, self._webhook.url):
            yield

    def _host(self, target: str, signature: Literal["cloudevent", "http"], source: Path = FUNCTION) -> FunctionHost:
        log = self.logs / f"{target}.log"
        grace_seconds = self.options.stop_grace_seconds
        return FunctionHost(target, source, signature, self.environment, log, grace_seconds, self.process_type)

    def _environment(self, key: Path) -> dict[str, str]:
        addresses = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "STORAGE_EMULATOR_HOST": self.storage_server.url,
            "PUBSUB_EMULATOR_HOST": self._pubsub_address,
            "DEEPGRAM_BASE_URL": self.deepgram.url,
        }
        return _environment_of(self.options, addresses)

    def _create_resources(self) -> None:
        client = self.storage()
        for bucket in (UPLOADS, RESULTS, STATE):
            client.create_bucket(bucket)
        publisher, subscriber = self.publisher(), self.subscriber()
        for topic in (RESULTS_TOPIC, EVENTS_TOPIC, WORK_TOPIC, DEAD_TOPIC, ALERTS_TOPIC):
            publisher.create_topic(name=publisher.topic_path(PROJECT, topic))
        # A topic without a subscription drops its messages.
        subscriber.create_subscription(
            name=subscriber.subscription_path(PROJECT, DEAD_SUBSCRIPTION),
            topic=publisher.topic_path(PROJECT, DEAD_TOPIC),
        )
        subscriber.create_subscription(
            request={
                "name": subscriber.subscription_path(PROJECT, WORK_SUBSCRIPTION),
                "topic": publisher.topic_path(PROJECT, WORK_TOPIC),
                "ack_deadline_seconds": 60,
                "dead_letter_policy": {
                    "dead_letter_topic": publisher.topic_path(PROJECT, DEAD_TOPIC),
                    "max_delivery_attempts": 20,
                },
                "retry_policy": {
                    name: timedelta(seconds=seconds)
                    for name, seconds in zip(
                        ("minimum_backoff", "maximum_backoff"), self.options.item_backoff_seconds, strict=True
                    )
                },
            }
        )

    def _finalized(self, resource: Mapping[str, object]) -> None:
        if resource["bucket"] == UPLOADS:
            self.eventarc.deliver(resource)

    @contextmanager
    def _scheduler(self) -> Iterator[None]:
        """What Cloud Scheduler does: the reconciler's tick."""

        def tick() -> None:
            while not self._stopping.wait(self.options.reconcile_seconds):
                try:
                    self.reconcile()
                except requests.RequestException:
                    _log.warning("the reconciler did not answer", exc_info=True)

        thread = threading.Thread(target=tick, name="scheduler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()


def check_settings(options: CloudOptions) -> None:
    """Raises pydantic's ValidationError, or UnusablePriceBook, where function or job would refuse the settings."""
    values = _environment_of(options, {})
    with environment(values):
        settings = FunctionSettings()
        ApiSettings()
    prices_of(settings)
    with environment({**values, **options.job_settings}):
        JobSettings()


def _environment_of(options: CloudOptions, addresses: Mapping[str, str]) -> dict[str, str]:
    """What Terraform sets in a deployment, and this process's own environment below it."""
    settings = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "UPLOADS_BUCKET": UPLOADS,
        "RESULTS_BUCKET": RESULTS,
        "STATE_BUCKET": STATE,
        "RESULTS_TOPIC": RESULTS_TOPIC,
        # The laptop's only job is the CPU job.
        "CPU_WORK_TOPIC": WORK_TOPIC,
        "ALERTS_TOPIC": ALERTS_TOPIC,
        "EVENTS_TOPIC": EVENTS_TOPIC,
        "EVENTS_SECONDS": "1",
        "WORK_SUBSCRIPTION": WORK_SUBSCRIPTION,
        "CPU_JOB": JOB,
        # Each execution takes the whole machine.
        "CPU_MAX_PARALLEL_TASKS": "1",
        "PARAKEET_MODEL_NAME": options.model,
        # Bills on the laptop say what the job would cost in the cloud.
        "JOB_GPU": "none",
        "JOB_VCPU": str(os.cpu_count() or 1),
        "JOB_MEMORY_GIB": "8",
        "CPU_JOB_VCPU": str(os.cpu_count() or 1),
        "CPU_JOB_MEMORY_GIB": "8",
        "TRANSCRIPTION_METHOD": options.method,
        "WORK_IDLE_SECONDS": "2",
        "HEARTBEAT_SECONDS": "1",
        "LEASE_SECONDS": "15",
        # Where Prometheus is asked for: a page for each of several processes, whose logs say where it is.
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
    }
    if options.deepgram:
        settings["DEEPGRAM_API_KEY"] = DEEPGRAM_KEY
    return {**inherited_environment(), **settings, **addresses, **options.settings}
