"""Google's clients and the stores over them, made the same way by function and job."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from google.cloud import pubsub_v1
from google.cloud.storage import Bucket, Client
from requests.adapters import HTTPAdapter

from shared.costs.prices import PriceBook, UnknownPrice, UnusablePriceBook, price_book
from shared.costs.speeds import DeviceSpeed, SpeedStore
from shared.enums import JobDevice
from shared.progress.events import ProgressEvents
from shared.settings.deployment import DeploymentSettings
from shared.settings.executions import BreakerSettings
from shared.state.backlog import QueuedUploads
from shared.state.cloud_run import JobRunner
from shared.state.execution_costs import ExecutionCosts
from shared.state.execution_slots import ExecutionSlots
from shared.state.finisher import Finisher
from shared.state.gpu_breaker import Breaker, BreakerPolicy
from shared.state.jobs.store import JobStore
from shared.state.launcher import Launcher
from shared.state.ledger import Ledger
from shared.state.result_files import Render, ResultFiles
from shared.transcript.render import render

STORAGE_CONNECTIONS = 40
"""Connections to Cloud Storage that a process keeps, of 10 by default. A worker stores eight results of each of four
uploads at once, the reconciler looks after 16 jobs, the function answers 8 requests; what finds none makes a new one,
with a handshake, and throws it away."""


@dataclass(frozen=True)
class Deployment:
    """Everything that both sides read from and write to."""

    storage: Client
    state: Bucket
    publisher: pubsub_v1.PublisherClient
    jobs: JobStore
    queued: QueuedUploads
    slots: Mapping[JobDevice, ExecutionSlots]
    launchers: Mapping[JobDevice, Launcher]
    """Of the jobs that there are."""
    ledger: Ledger
    gpu: Breaker
    speeds: SpeedStore
    finisher: Finisher
    events: ProgressEvents
    execution_costs: ExecutionCosts
    prices: PriceBook


def connect(settings: DeploymentSettings, render: Render = render) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet. Raises UnusablePriceBook."""
    # Else each object that is not there has the client look at its bucket, for attributes of traces.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    prices = prices_of(settings)
    client = Client(project=settings.google_cloud_project)
    for scheme in ("https://", "http://"):
        # The client has no option for it: https://github.com/googleapis/python-storage/issues/253
        client._http.mount(scheme, HTTPAdapter(pool_maxsize=STORAGE_CONNECTIONS))
    publisher = pubsub_v1.PublisherClient()
    state = client.bucket(settings.state_bucket)
    jobs = JobStore(state)
    slots = {
        device: ExecutionSlots(state, device, settings.launch_rules(device).max_executions) for device in JobDevice
    }
    queued, speeds = QueuedUploads(jobs), SpeedStore(state)
    ledger, gpu = Ledger(state), Breaker(state, _breaker_policy(settings))
    events = ProgressEvents(publisher, _events_topic(settings, publisher), settings.events_seconds)
    unredacted = settings.unredacted_bucket
    finisher = Finisher(
        jobs=jobs,
        ledger=ledger,
        gpu=gpu,
        files=ResultFiles(client.bucket(settings.results_bucket), settings.results_prefix, render, settings.formats),
        publisher=publisher,
        topic=publisher.topic_path(settings.google_cloud_project, settings.results_topic),
        prices=prices,
        deepgram_model=settings.deepgram_model,
        language=settings.language,
        subtitles=settings.subtitles,
        events=events,
        unredacted=None if unredacted is None else ResultFiles(client.bucket(unredacted), settings.results_prefix),
    )
    return Deployment(
        storage=client,
        state=state,
        publisher=publisher,
        jobs=jobs,
        queued=queued,
        slots=slots,
        launchers=dict(_launchers(settings, slots, queued, speeds)),
        ledger=ledger,
        gpu=gpu,
        speeds=speeds,
        finisher=finisher,
        events=events,
        execution_costs=ExecutionCosts(state, ledger),
        prices=prices,
    )


def _events_topic(settings: DeploymentSettings, publisher: pubsub_v1.PublisherClient) -> str | None:
    topic = settings.events_topic
    return None if topic is None else publisher.topic_path(settings.google_cloud_project, topic)


def prices_of(settings: DeploymentSettings) -> PriceBook:
    """The price book. Raises UnusablePriceBook, also where it has no price of the model or GPU that the settings name:
    that ends a process as it starts, not every upload with an error."""
    book = price_book(settings.price_book, mip_opt_out=settings.deepgram_mip_opt_out)
    try:
        book.deepgram_minute_usd(settings.deepgram_model)
    except UnknownPrice as error:
        raise UnusablePriceBook(f"DEEPGRAM_MODEL: {error}") from error
    gpu = settings.shape.gpu
    try:
        if gpu is not None and settings.gpu_job is not None:
            book.gpu_second_usd(gpu)
    except UnknownPrice as error:
        raise UnusablePriceBook(f"JOB_GPU: {error}") from error
    return book


def _launchers(
    settings: DeploymentSettings, slots: Mapping[JobDevice, ExecutionSlots], queued: QueuedUploads, speeds: SpeedStore
) -> Iterator[tuple[JobDevice, Launcher]]:
    runner = JobRunner(settings.run_endpoint)
    for device in JobDevice:
        job, hardware = settings.job_of(device), settings.hardware(device)
        if job is not None and hardware is not None:
            yield (
                device,
                Launcher(
                    runner=runner,
                    job=job,
                    device=device,
                    slots=slots[device],
                    queued=queued,
                    rules=settings.launch_rules(device),
                    speed=partial(_speed, settings, speeds, hardware),
                    term=timedelta(seconds=settings.launch_seconds),
                ),
            )


def _speed(settings: DeploymentSettings, speeds: SpeedStore, hardware: str) -> DeviceSpeed:
    return speeds.speeds(settings.initial_speeds(settings.shape.gpu)).of(hardware)


def _breaker_policy(settings: BreakerSettings) -> BreakerPolicy:
    return BreakerPolicy(
        failures=settings.gpu_breaker_failures,
        window=timedelta(seconds=settings.gpu_breaker_window_seconds),
        cool_down=timedelta(seconds=settings.gpu_breaker_cool_down_seconds),
        trial=timedelta(seconds=settings.gpu_breaker_trial_seconds),
    )
