"""`dropscribe estimate`: predicted method, time and cost of files, by inspection alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from google.cloud.storage import Blob
from rich.console import Console
from rich.text import Text

from dropscribe.local_media import inspected
from infra.cli.buckets import bucket_named, storage_client
from infra.cli.errors import errors_in_one_line
from infra.cli.exit_codes import ExitCode
from infra.cli.local.inputs import Recording, Refused, inputs_of
from infra.cli.local.standard_input import standard_input
from infra.cli.tables import plain_table, print_line, printable, short_clock, tracks_line
from shared.costs.gathering import Queue
from shared.costs.prices import PriceBook, price_book
from shared.costs.quote import Quote
from shared.costs.speeds import Speeds, SpeedStore
from shared.enums import JobDevice, Method
from shared.errors import BadMedia, Rejected
from shared.formats.tracks import TranscriptTrack
from shared.media import Media, Upload
from shared.messages import Decision
from shared.object_names import object_name
from shared.objects import bucket_and_name
from shared.options.model import UploadOptions
from shared.progress.describe import rough_duration
from trigger_function.handle_upload import inspect_blob
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Router
from trigger_function.settings.function import FunctionSettings

NO_DEPLOYMENT = {
    "google_cloud_project": "none",
    "results_bucket": "none",
    "state_bucket": "none",
    "gpu_job": "projects/none/locations/none/jobs/none",
    "cpu_job": "projects/none/locations/none/jobs/cpu",
    "deepgram_api_key": "assumed",
    "job_disk_gib": "10",
    "cpu_job_disk_gib": "10",
}
"""Where the environment names no deployment: the shipped settings, with both jobs, their disks, and Deepgram."""

NO_DEPLOYMENT_NOTE = (
    "GPU_JOB and CPU_JOB name no deployment: this is one with both jobs and a Deepgram key, at the shipped prices and"
    " speeds. On this machine: dropscribe run."
)

PARALLEL_INSPECTIONS = 8


@dataclass(frozen=True)
class InspectedFile:
    """One file and what inspection found."""

    name: str
    job_id: str
    media: Media | None
    options: UploadOptions
    problem: str | None = None
    """Why it would be rejected."""


@dataclass(frozen=True)
class FileEstimate:
    """What would be decided for one file."""

    name: str
    audio_seconds: float
    decision: Decision | None
    problem: str | None = None
    tracks: tuple[TranscriptTrack, ...] = ()
    """The file's audio tracks, and which of them would be transcribed."""


@dataclass(frozen=True)
class Total:
    """Many files together. `seconds`: until the last one is done."""

    usd: float = 0.0
    seconds: float = 0.0

    def plus(self, quote: Quote) -> Total:
        """With one more file."""
        return Total(self.usd + quote.bill.usd, max(self.seconds, quote.completion_seconds))


@dataclass(frozen=True)
class Estimate:
    """Every file, and the totals: as decided, and with one engine for all."""

    lines: tuple[FileEstimate, ...]
    total: Total
    all_deepgram: Total
    all_parakeet: Total

    @property
    def audio_seconds(self) -> float:
        """Audio of the files that would be transcribed."""
        return sum(line.audio_seconds for line in self.lines if line.decision)


def estimate(found: Sequence[InspectedFile], settings: FunctionSettings, prices: PriceBook, speeds: Speeds) -> Estimate:
    """What would be decided if the files were dropped one after the other, on an idle deployment. Pure."""
    lines: list[FileEstimate] = []
    total = all_deepgram = all_parakeet = Total()
    hardware = {JobDevice.GPU: settings.shape.device, JobDevice.CPU: "cpu"}
    startups = {device: speeds.of(name).startup_seconds for device, name in hardware.items()}
    queues, parakeet_queues = _Queues(speeds, startups), _Queues(speeds, startups)
    router = Router.from_settings(settings, prices)
    for file in found:
        if file.media is None:
            lines.append(FileEstimate(file.name, 0.0, None, file.problem))
            continue
        upload = UploadFacts(file.job_id, file.media, file.options)
        seconds = file.media.duration_seconds
        transcribed_seconds = seconds * file.options.streams(file.media)
        try:
            decision = router.decide(upload, queues.conditions())
        except Rejected as error:
            lines.append(FileEstimate(file.name, seconds, None, error.reason))
            continue
        lines.append(FileEstimate(file.name, seconds, decision, tracks=file.media.transcript_tracks()))
        if (quote := decision.quote) is not None:
            total = total.plus(quote)
            queues.add(quote, transcribed_seconds)
        quotes = router.quotes(upload, parakeet_queues.conditions())
        all_deepgram = all_deepgram.plus(next(quote for quote in quotes if quote.method is Method.DEEPGRAM))
        parakeet = [quote for quote in quotes if quote.method is Method.PARAKEET]
        best = min(parakeet, key=lambda quote: quote.score(settings.time_value_usd_per_minute))
        all_parakeet = all_parakeet.plus(best)
        parakeet_queues.add(best, transcribed_seconds)
    return Estimate(tuple(lines), total, all_deepgram, all_parakeet)


class _Queues:
    """The queue of each job while files arrive, all at once."""

    def __init__(self, speeds: Speeds, startups: Mapping[JobDevice, float]) -> None:
        self._speeds = speeds
        self._startups = startups
        self._queues = {device: Queue() for device in JobDevice}

    def conditions(self) -> Conditions:
        """What the next file finds."""
        return Conditions(self._speeds, queue=self._queues[JobDevice.GPU], cpu_queue=self._queues[JobDevice.CPU])

    def add(self, quote: Quote, audio_seconds: float) -> None:
        """One more file, which is done as `quote` has it."""
        if quote.device is None:
            return
        before = self._queues[quote.device]
        self._queues[quote.device] = Queue(
            running=True,
            waiting_seconds=before.waiting_seconds + (1 - quote.deepgram_share) * audio_seconds,
            starting_seconds=self._startups[quote.device],
        )


@errors_in_one_line
def print_estimate(places: Sequence[str], *, as_json: bool, input_name: str | None = None) -> int:
    """Inspect `places`, `gs://` prefixes and what `inputs_of` takes. Exit status 0: every file would be transcribed."""
    console = Console(stderr=as_json)
    local = [place for place in places if not _is_remote(place)]
    with standard_input(local, input_name) as piped:
        inputs = inputs_of(local, out=None, standard_input=piped, command="estimate")
        for note in inputs.notes:
            print_line(Console(stderr=True), note)
        if missing := [recording.argument for recording in inputs.recordings if not _exists(recording.path)]:
            print_line(console, f"No such file: {', '.join(missing)}")
            return ExitCode.USAGE
        predicted = PredictedDeployment.of_environment()
        found = [_local(item, predicted.settings) for item in inputs.items]
    found += [one for place in places if _is_remote(place) for one in _in_bucket(place, predicted.settings)]
    made = estimate(found, predicted.settings, predicted.prices, predicted.speeds)
    if as_json:
        sys.stdout.write(json.dumps(as_dict(made)) + "\n")
    elif made.lines:
        _print(made, console, deployed=predicted.is_deployed)
    else:
        print_line(console, f"No recordings in {', '.join(places)}.")
    return 0 if made.lines and all(line.decision for line in made.lines) else 1


@dataclass(frozen=True)
class PredictedDeployment:
    """What quotes are made with."""

    settings: FunctionSettings
    prices: PriceBook
    speeds: Speeds
    """As the deployment has learned them."""
    is_deployed: bool
    """False: the environment names none, and it is the one of NO_DEPLOYMENT."""

    @classmethod
    def of_environment(cls) -> PredictedDeployment:
        """The deployment whose settings the environment has. Raises ValidationError and UnusablePriceBook."""
        deployed = bool(os.environ.get("GPU_JOB") or os.environ.get("CPU_JOB"))
        settings = FunctionSettings() if deployed else FunctionSettings.model_validate(_assumed())
        initial = settings.initial_speeds(settings.shape.gpu)
        speeds = SpeedStore(storage_client().bucket(settings.state_bucket)).speeds(initial) if deployed else initial
        prices = price_book(settings.price_book, mip_opt_out=settings.deepgram_mip_opt_out)
        return cls(settings, prices, speeds, deployed)


def _assumed() -> dict[str, str]:
    """Settings of the environment, with placeholders for those it lacks."""
    return {name: os.environ.get(name.upper()) or value for name, value in NO_DEPLOYMENT.items()}


def _is_remote(place: str) -> bool:
    return place.startswith("gs://")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # said where it is opened
        return True


def _in_bucket(place: str, settings: FunctionSettings) -> Iterator[InspectedFile]:
    bucket, prefix = bucket_and_name(place)
    listed = bucket_named(storage_client(), bucket).list_blobs(prefix=prefix)
    blobs = [blob for blob in listed if settings.ignores(blob.name) is None]
    with ThreadPoolExecutor(PARALLEL_INSPECTIONS) as pool:
        yield from pool.map(lambda blob: _remote(blob, settings), blobs)


def _local(item: Recording | Refused, settings: FunctionSettings) -> InspectedFile:
    # Only rollout looks at the job.
    name = item.name if isinstance(item, Recording) else item.argument
    job_id = Upload(bucket="files", name=object_name(PurePath(name)), generation=1).job_id
    if isinstance(item, Refused):
        return InspectedFile(item.argument, job_id, None, UploadOptions(), item.reason)
    try:
        media, options = inspected(item.path, settings.inspection_max_bytes), settings.rules.options(name, {})
    except (BadMedia, Rejected) as error:
        return InspectedFile(item.argument, job_id, None, UploadOptions(), error.reason)
    except OSError as error:
        return InspectedFile(item.argument, job_id, None, UploadOptions(), f"It cannot be read: {error.strerror}.")
    return InspectedFile(item.argument, job_id, media, options)


def _remote(blob: Blob, settings: FunctionSettings) -> InspectedFile:
    upload = Upload(bucket=blob.bucket.name, name=blob.name, generation=int(blob.generation))
    name = f"gs://{upload.bucket}/{upload.name}"
    try:
        options = settings.rules.options(upload.name, blob.metadata or {})
        return InspectedFile(name, upload.job_id, inspect_blob(blob, settings, options.track), options)
    except (BadMedia, Rejected) as error:
        return InspectedFile(name, upload.job_id, None, UploadOptions(), error.reason)


def as_dict(made: Estimate) -> dict[str, object]:
    """The estimate as JSON has it."""
    return {
        "files": [_file(line) for line in made.lines],
        "audio_seconds": made.audio_seconds,
        "total": asdict(made.total),
        "all_deepgram": asdict(made.all_deepgram),
        "all_parakeet": asdict(made.all_parakeet),
    }


def _file(line: FileEstimate) -> dict[str, object]:
    fields: dict[str, object] = {"name": line.name, "audio_seconds": line.audio_seconds}
    if line.decision is None or (quote := line.decision.quote) is None:
        return fields | {"rejected": line.problem}
    return fields | {
        "usd": quote.bill.usd,
        "seconds": quote.completion_seconds,
        "decision": line.decision.model_dump(mode="json"),
        "tracks": [track.model_dump(mode="json") for track in line.tracks],
    }


def _print(made: Estimate, console: Console, *, deployed: bool) -> None:
    table = plain_table("file", "length", "method", "time", "cost", right=("length", "time", "cost"))
    for line in made.lines:
        quote = line.decision.quote if line.decision else None
        if quote is None:
            table.add_row(Text(printable(line.name)), "-", Text("rejected", style="red"), "-", "-")
            continue
        length, time = short_clock(line.audio_seconds), rough_duration(quote.completion_seconds)
        table.add_row(Text(printable(line.name)), length, quote.label, time, f"${quote.bill.usd:.4f}")
    console.print(table)
    for line in made.lines:
        if (remark := line.problem or tracks_line(line.tracks)) is not None:
            print_line(console, f"{line.name}: {remark}")
    console.print(f"{short_clock(made.audio_seconds)} of audio", highlight=False)
    for name, one in (
        ("as decided", made.total),
        ("all Deepgram", made.all_deepgram),
        ("all Parakeet", made.all_parakeet),
    ):
        console.print(f"{name:13} ${one.usd:.4f} in {rough_duration(one.seconds)}", highlight=False)
    if not deployed:
        print_line(console, NO_DEPLOYMENT_NOTE)
