"""A deployment for tests that call the function in-process: local servers, Google's clients, readers of results."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.cloud import pubsub_v1
from google.cloud.storage import Client

from infra.emulators.executions import LocalJob
from infra.emulators.pubsub.server import PubSubServer
from shared.media import Upload
from shared.messages import TerminalMessage, WorkItem
from tests.support.faulty_run_server import FaultyRunServer
from tests.support.faulty_storage import FaultyStorageServer
from tests.support.pubsub_outage import PubSubOutage

PROJECT = "small"
UPLOADS, RESULTS, STATE = "uploads", "results", "state"
RESULTS_TOPIC, WORK_TOPIC = "transcription-results", "transcription-work"
CPU_WORK_TOPIC = "transcription-work-cpu"
GPU_JOB = f"projects/{PROJECT}/locations/here/jobs/gpu"
CPU_JOB = f"projects/{PROJECT}/locations/here/jobs/cpu"


@dataclass(frozen=True)
class LoopbackCloud:
    """The servers, and clients of them."""

    storage_server: FaultyStorageServer
    runner: FaultyRunServer
    pubsub: PubSubServer
    pubsub_outage: PubSubOutage
    storage: Client
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient

    def drop(
        self,
        data: bytes,
        name: str = "calls/a.mp3",
        metadata: Mapping[str, str] | None = None,
        content_encoding: str | None = None,
    ) -> Upload:
        """Put an object into the uploads bucket; no event follows."""
        blob = self.storage.bucket(UPLOADS).blob(name)
        blob.metadata = dict(metadata or {})
        blob.content_encoding = content_encoding
        blob.upload_from_string(data)
        return Upload(bucket=UPLOADS, name=name, generation=int(blob.generation))

    def subscription(self, topic: str) -> str:
        """Full name of the one subscription of `topic`."""
        return str(self.subscriber.subscription_path(PROJECT, f"{topic}-test"))

    def terminal_messages(self) -> list[TerminalMessage]:
        """What was published since the last look."""
        return [TerminalMessage.model_validate_json(data) for data in self._pulled(RESULTS_TOPIC)]

    def work_items(self, topic: str = WORK_TOPIC) -> list[WorkItem]:
        """What was queued since the last look, for the GPU job or (CPU_WORK_TOPIC) the CPU job."""
        return [WorkItem.model_validate_json(data) for data in self._pulled(topic)]

    def executions(self) -> list[str]:
        """Names of the jobs that were started, the oldest first."""
        return [state.job.name for state in self.runner.executions()]

    def forget_executions(self) -> None:
        """From now on none takes work: as long after the last has ended, or did not come."""
        for name in self.names(STATE, "executions/"):
            self.storage.bucket(STATE).blob(name).delete()

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The objects of a bucket."""
        return [str(blob.name) for blob in self.storage.bucket(bucket).list_blobs(prefix=prefix)]

    def _pulled(self, topic: str) -> list[bytes]:
        subscription = self.subscription(topic)
        # What was published is there at once; nobody has to wait to know that nothing is.
        request = pubsub_v1.types.PullRequest(subscription=subscription, max_messages=100, return_immediately=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            received = list(self.subscriber.pull(request=request).received_messages)
        if received:
            self.subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])
        return [bytes(one.message.data) for one in received]


class _QuickPubSubServer(PubSubServer):
    """Keeps nobody waiting for what does not come: a worker that is about to leave pulls twice for nothing, up to two
    seconds each."""

    pull_seconds = 0.4


@contextmanager
def loopback_cloud(
    folder: Path, setenv: Callable[[str, str], None], key: Path, key_pem: bytes
) -> Iterator[LoopbackCloud]:
    """Start the servers and set the environment by which the production code finds them."""
    with ExitStack() as stack:
        storage_server = stack.enter_context(FaultyStorageServer(folder / "objects", signing_key_pem=key_pem))
        outage = PubSubOutage()
        pubsub = stack.enter_context(_QuickPubSubServer([outage]))
        logs = folder / "logs"
        logs.mkdir()
        jobs = [LocalJob(name, (sys.executable, "-c", "pass"), {}) for name in (GPU_JOB, CPU_JOB)]
        runner = stack.enter_context(FaultyRunServer(jobs, logs))
        environment = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "STORAGE_EMULATOR_HOST": storage_server.url,
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "RUN_ENDPOINT": runner.url,
            "RESULTS_BUCKET": RESULTS,
            "STATE_BUCKET": STATE,
            "GPU_JOB": GPU_JOB,
        }
        for name, value in environment.items():
            setenv(name, value)
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        stack.callback(subscriber.close)
        stack.callback(publisher.stop)
        cloud = LoopbackCloud(storage_server, runner, pubsub, outage, Client(project=PROJECT), publisher, subscriber)
        for bucket in (UPLOADS, RESULTS, STATE):
            cloud.storage.create_bucket(bucket)
        for topic in (RESULTS_TOPIC, WORK_TOPIC, CPU_WORK_TOPIC):
            path = publisher.topic_path(PROJECT, topic)
            publisher.create_topic(name=path)
            subscriber.create_subscription(name=cloud.subscription(topic), topic=path)
        yield cloud
