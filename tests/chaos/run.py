"""One chaos run: a cloud, uploads, faults, and the verdict on what came of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.emulators.cloud import STATE, CloudOptions
from infra.recordings import recording
from tests.chaos.disk import small_disk
from tests.chaos.disturber import Disturbances, Disturber
from tests.chaos.faults import FaultRates, Faults
from tests.chaos.reruns import Reruns
from tests.chaos.servers import ChaosCloud
from tests.chaos.uploads import SOUND, Drop, drops
from tests.chaos.verdict import Verdict, judge, write_evidence
from tests.support.user_client import UserClient, user_client_of
from tests.support.waiting import PATIENCE, wait_until

SETTINGS = {
    # So that silence is noticed within seconds.
    "HEARTBEAT_SECONDS": "0.5",
    "CHECKPOINT_SECONDS": "0.5",
    "LEASE_SECONDS": "6",
    # Longer than any call takes, as in a deployment: else a second process would do the same.
    "CLAIM_SECONDS": "90",
    "QUEUE_PATIENCE_SECONDS": "10",
    "RESTART_SECONDS": "5",
    "LAUNCH_SECONDS": "20",
    # Workers are killed every few seconds, which is no upload's fault, and on a busy machine before they get far.
    "MAX_ATTEMPTS": "100",
    "DEEPGRAM_TIMEOUT_SECONDS": "15",
    "DEEPGRAM_LATE_SECONDS": "5",
    # The recording of ten minutes is divided; of those of seconds half are answered by callback.
    "SHARD_HOURS": "0.05",
    "SHARD_HOURS_BUSY": "0.05",
    "DEEPGRAM_CALLBACK_MINUTES": "0.335",
    "DEEPGRAM_CALLBACK_SECONDS": "25",
    "CPU_MAX_PARALLEL_TASKS": "2",
    # A process has no container here that would have to start before it.
    "INSTANCE_START_SECONDS": "0",
}


@dataclass(frozen=True)
class ChaosOptions:
    """What a run is made of."""

    uploads: int
    seed: int
    drop_seconds: float = 20.0
    """Over which the uploads are dropped."""
    disturb_seconds: float = 60.0
    """From the first drop to the last disturbance, or until all have ended."""
    rates: FaultRates = field(default_factory=FaultRates)
    disturbances: Disturbances = field(default_factory=Disturbances)
    long: Path | None = None
    """A recording of minutes, so that some are killed in the middle."""
    patience_seconds: float = PATIENCE
    """For everything to end once nothing is disturbed any more."""


@dataclass(frozen=True)
class ChaosRun:
    """What happened in a run, and what came of it."""

    seed: int
    uploads: int
    seconds: float
    faults: Counter[str]
    disturbances: Counter[str]
    reruns: Counter[str]
    """What became of requests for re-runs."""
    executions: int
    not_injected: tuple[str, ...]
    """What this machine cannot have."""
    verdict: Verdict


def run_chaos(root: Path, options: ChaosOptions) -> ChaosRun:
    """Run it below `root`. TimeoutError where not everything ends."""
    began = time.monotonic()
    corrupt = root / "corrupt.mp3"
    corrupt.write_bytes(b"This is no recording. " * 500)
    wanted = drops(options.uploads, options.seed, corrupt, options.long)
    faults = Faults(options.seed, options.rates)
    with small_disk(root / "scratch") as disk:
        cloud_options = CloudOptions(
            method="auto",
            settings=SETTINGS,
            job_settings={"SCRATCH_FOLDER": str(disk.folder)} if disk else {},
            reconcile_seconds=3.0,
            event_backoff_seconds=0.5,
            item_backoff_seconds=(0.5, 5.0),
            stop_grace_seconds=0.0,
        )
        with ChaosCloud(root / "cloud", cloud_options, faults) as cloud:
            user = user_client_of(cloud)
            texts = _undisturbed_texts(user, options.long)
            cloud.answers.clear()
            names = {drop.name for drop in wanted}
            reruns = Reruns(user, cloud.storage(), names, options.seed)
            disturber = Disturber(cloud, faults, options.seed, options.disturbances, reruns=reruns, disk=disk)
            with disturber, _failing(faults):
                until = time.monotonic() + options.disturb_seconds
                _drop(user, wanted, options)
                while time.monotonic() < until and not names <= _ended(user):
                    _pull(user)
            _await_end(cloud, user, wanted, options.patience_seconds)
            verdict = judge(cloud, user, wanted, texts, disturber.function_stops)
            write_evidence(root / "evidence.json", cloud, user, disturber.function_stops)
            return ChaosRun(
                seed=options.seed,
                uploads=len(wanted),
                seconds=time.monotonic() - began,
                faults=faults.injected,
                disturbances=disturber.done,
                reruns=reruns.answers,
                executions=len(cloud.runner.executions()),
                not_injected=() if disk else ("full disk: this process may not mount a small one",),
                verdict=verdict,
            )


UNDISTURBED_TRIES = 5


@contextmanager
def _failing(faults: Faults) -> Iterator[None]:
    faults.begin()
    try:
        yield
    finally:
        faults.end()


def _undisturbed_texts(user: UserClient, long: Path | None) -> dict[str, set[str]]:
    """By file name, what each engine makes of a recording.

    On a busy machine Deepgram's answer may come too late, and the text is the other engine's: then it is asked again.
    """
    paths = [recording(name).path for name in SOUND] + ([long] if long else [])
    missing = [(path, method) for path in paths for method in ("parakeet", "deepgram")]
    texts: dict[str, set[str]] = {}
    for again in range(UNDISTURBED_TRIES):
        asked = {
            user.drop(path, f"undisturbed-{again}-{method}-{path.name}", method): (path, method)
            for path, method in missing
        }
        missing = []
        for name, message in user.outcomes(asked).items():
            path, method = asked[name]
            if message["decision"]["method"] == method:
                texts.setdefault(path.name, set()).add(user.text(message))
            else:
                missing.append((path, method))
        if not missing:
            return texts
    raise TimeoutError(f"{missing[0][1]} did not transcribe {missing[0][0].name} in time, with nothing disturbed")


def _drop(user: UserClient, wanted: Sequence[Drop], options: ChaosOptions) -> None:
    """In bursts of up to ten, evenly over DROP_SECONDS."""
    bursts, left = random.Random(options.seed), list(wanted)
    pause = options.drop_seconds / max(1, len(left))
    while left:
        burst, left = left[: (size := bursts.randint(1, 10))], left[size:]
        for drop in burst:
            user.drop(drop.path, drop.name, **drop.options)
        _pull(user)
        time.sleep(pause * len(burst))


def _pull(user: UserClient) -> None:
    """Faults of Pub/Sub are the listener's, too."""
    from google.api_core.exceptions import GoogleAPICallError

    try:
        user.pull()
    except GoogleAPICallError:
        time.sleep(0.1)


def _ended(user: UserClient) -> set[str]:
    return {message["upload"]["name"] for message in user.messages}


def _await_end(cloud: ChaosCloud, user: UserClient, wanted: Sequence[Drop], patience_seconds: float) -> None:
    """Until every upload has its message, every event was taken, no execution runs, and nothing is open."""
    user.outcomes([drop.name for drop in wanted], patience_seconds)
    cloud.eventarc.wait_idle(patience_seconds)
    cloud.runner.wait_idle(patience_seconds)

    def nothing_is_open() -> bool:
        cloud.reconcile()
        return not [*user.storage.bucket(STATE).list_blobs(prefix="open")]

    wait_until(nothing_is_open, "markers of jobs and executions gone", patience_seconds)
    # Of re-runs, too.
    cloud.eventarc.wait_idle(patience_seconds)
    cloud.runner.wait_idle(patience_seconds)
    wait_until(nothing_is_open, "markers of jobs and executions gone", patience_seconds)
    came = -1
    while came < len(user.messages):
        came = len(user.messages)
        user.pull()
