"""A laptop cloud for one command: always stopped at the end, its logs kept where something failed."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.storage import Client

from infra.cli.errors import CommandError
from infra.emulators.cloud import PROJECT, RESULTS_TOPIC, CloudOptions, LaptopCloud, check_settings


def check_machine_and_settings(options: CloudOptions) -> None:
    """What would keep a laptop cloud from working, before anything is started or fetched.

    Raises CommandError, and as `check_settings` does.
    """
    if sys.platform == "win32":
        raise CommandError(
            "run and up start servers as process groups, which Windows has not: use them in WSL (wsl --install). In"
            ' Python, from gpu_job import transcribe; transcribe("call.mp3") starts none.'
        )
    check_settings(options)


@dataclass
class Session:
    """A running laptop cloud with a subscription to its results."""

    cloud: LaptopCloud
    storage: Client
    subscriber: SubscriberClient
    subscription: str
    keep_logs: bool = False


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C and TERM end the block by KeyboardInterrupt, so that what it started is ended, too.

    Only the first one: a second one, of an impatient hand, must not keep the block from cleaning up.
    """

    def interrupt(*_: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as a shell has it for what it starts in the background
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def session(model: str, settings: Mapping[str, str] | None = None, *, api: bool = False) -> Iterator[Session]:
    """Start a laptop cloud in a temporary folder; TERM ends it like Ctrl-C.

    `model`: as `chosen_model` gives it. `settings`: more environment for function and job.
    `api`: whether the HTTP API is served, too.
    """
    root = Path(tempfile.mkdtemp(prefix="dropscribe-"))
    # A process that is killed leaves its temporary files, such as a copy of the recording: they go with the rest.
    (temporary := root / "tmp").mkdir()
    opened: Session | None = None
    try:
        more = {"TMPDIR": str(temporary), **(settings or {})}
        options = CloudOptions(model=model, settings=more, stop_grace_seconds=0.0, api=api)
        with ended_by_signals(), LaptopCloud(root, options) as cloud:
            subscriber = cloud.subscriber()
            subscription = subscriber.subscription_path(PROJECT, "command-line")
            topic = f"projects/{PROJECT}/topics/{RESULTS_TOPIC}"
            subscriber.create_subscription(name=subscription, topic=topic)
            opened = Session(cloud, cloud.storage(), subscriber, subscription)
            yield opened
    finally:
        _remove(root, keep=opened.cloud.logs if opened is not None and opened.keep_logs else None)


def _remove(root: Path, keep: Path | None) -> None:
    """Copies of recordings, results and keys are always removed."""
    for path in root.iterdir():
        if path.is_dir() and path != keep:
            shutil.rmtree(path, ignore_errors=True)
        elif path != keep:
            path.unlink()
    if keep is None:
        root.rmdir()
