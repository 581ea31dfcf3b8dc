"""Google's clients and the stores over them, made the same way by function and job."""

from __future__ import annotations

from dataclasses import dataclass

from google.cloud import pubsub_v1
from google.cloud.storage import Bucket, Client

from shared.costs import PriceBook, price_book
from shared.executions import ExecutionLease
from shared.jobs import JobStore
from shared.outcomes import Finisher
from shared.settings import DeploymentSettings


@dataclass(frozen=True)
class Deployment:
    """Everything with an effect that both sides use."""

    storage: Client
    state: Bucket
    publisher: pubsub_v1.PublisherClient
    jobs: JobStore
    lease: ExecutionLease
    finisher: Finisher
    prices: PriceBook


def connect(settings: DeploymentSettings) -> Deployment:
    """The deployment that the settings name. Nothing is sent yet."""
    client = Client(project=settings.google_cloud_project)
    publisher = pubsub_v1.PublisherClient()
    state = client.bucket(settings.state_bucket)
    jobs, prices = JobStore(state), price_book(settings.price_book)
    finisher = Finisher(
        jobs=jobs,
        results=client.bucket(settings.results_bucket),
        prefix=settings.results_prefix,
        publisher=publisher,
        topic=publisher.topic_path(settings.google_cloud_project, settings.results_topic),
        prices=prices,
        deepgram_model=settings.deepgram_model,
    )
    return Deployment(client, state, publisher, jobs, ExecutionLease(state), finisher, prices)
