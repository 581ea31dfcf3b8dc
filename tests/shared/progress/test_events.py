"""Progress is published by stage, not too often, and never at the job's expense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

import pytest

from gpu_job.progress_reports import ProgressReports
from shared.media import Upload
from shared.progress.events import ProgressEvents
from shared.progress.model import Progress, Stage
from tests.support.loopback_cloud import PROJECT, LoopbackCloud
from tests.support.waiting import PATIENCE

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
TOPIC, SUBSCRIPTION = f"projects/{PROJECT}/topics/events", f"projects/{PROJECT}/subscriptions/events"
UPLOAD, OTHER = (Upload(bucket="uploads", name=name, generation=1) for name in ("a.mp3", "b.mp3"))


class Clock:
    """Seconds, as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events(cloud: LoopbackCloud, clock: Clock) -> ProgressEvents:
    cloud.publisher.create_topic(name=TOPIC)
    cloud.subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    return ProgressEvents(cloud.publisher, TOPIC, 5.0, clock)


def progress(stage: Stage, upload: Upload = UPLOAD, *, run: int = 1) -> Progress:
    return Progress(job_id=upload.job_id, run=run, upload=upload, stage=stage, at=AT, received_at=AT)


def published(cloud: LoopbackCloud, events: ProgressEvents) -> list[tuple[str, str]]:
    """Names and stages of what was published, each with the attributes of what it says."""
    events.flush(60.0)
    pulled = cloud.subscriber.pull(subscription=SUBSCRIPTION, max_messages=100, timeout=PATIENCE)
    seen = []
    for one in pulled.received_messages:
        said = Progress.model_validate_json(one.message.data)
        assert dict(one.message.attributes) == said.attributes()
        seen.append((said.upload.name, said.stage.value))
    return seen


def test_each_stage_at_once_and_else_every_few_seconds(
    cloud: LoopbackCloud, events: ProgressEvents, clock: Clock
) -> None:
    for clock.now, stage in (
        (0.0, Stage.CLAIMED),
        (0.1, Stage.QUEUED),
        (0.2, Stage.TRANSCRIBING),
        (5.1, Stage.TRANSCRIBING),
        (5.3, Stage.TRANSCRIBING),
        (6.0, Stage.TRANSCRIBING),
    ):
        events.publish(partial(progress, stage))
    events.publish(lambda: progress(Stage.TRANSCRIBING, OTHER))
    told = published(cloud, events)
    assert sorted(stage for name, stage in told if name == "a.mp3") == ["claimed", "queued", *["transcribing"] * 2]
    assert [stage for name, stage in told if name == "b.mp3"] == ["transcribing"]


def test_behind_the_end_nothing_is_published_until_the_job_runs_again(
    cloud: LoopbackCloud, events: ProgressEvents
) -> None:
    events.publish(lambda: progress(Stage.DONE))
    events.publish(lambda: progress(Stage.TRANSCRIBING))
    events.publish(lambda: progress(Stage.QUEUED, run=2))
    assert sorted(stage for _, stage in published(cloud, events)) == ["done", "queued"]


def test_what_goes_wrong_with_an_event_goes_no_further(cloud: LoopbackCloud, events: ProgressEvents) -> None:
    def unreadable() -> Progress:
        raise ValueError("no record")

    def both() -> Iterator[Callable[[], Progress]]:
        yield unreadable
        yield lambda: progress(Stage.STARTED)

    ProgressReports(events, both).tick()
    assert published(cloud, events) == [("a.mp3", "started")]
    gone = ProgressEvents(cloud.publisher, f"projects/{PROJECT}/topics/never-made", 5.0)
    gone.publish(lambda: progress(Stage.STARTED))
    gone.flush(60.0)


def test_without_a_topic_nothing_is_even_looked_at(cloud: LoopbackCloud) -> None:
    def never() -> Progress:
        raise AssertionError("asked for all the same")

    off = ProgressEvents(cloud.publisher, None, 5.0)
    off.publish(never)
    off.flush()
    assert not off.is_on
