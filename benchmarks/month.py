"""A month of 10,000 uploads through both policies, each engine alone, and deployments that lack one: cost, times.

Decisions are the function's own code; the job's executions are simulated (`month_job.py`), so what a policy is told by
a quote and what it then costs may differ. Deepgram answers at the speed that the settings assume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.month_job import BATCH_SECONDS, Done, SimulatedJob, Spent
from benchmarks.month_uploads import Arrival, burst_of, month, working_day
from benchmarks.report import Measurement
from shared.costs.bill import deepgram_bill, instance_second_usd
from shared.costs.prices import JobShape, PriceBook, price_book
from shared.costs.speeds import Speeds
from shared.enums import JobDevice, Method
from shared.messages import Decision
from shared.options.model import UploadOptions
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Router
from trigger_function.settings.function import FunctionSettings

JOB_NAME = "projects/bench/locations/here/jobs/{}"
_NO_CPU_JOB: Mapping[str, object] = {"cpu_job": None}
_NO_GPU_JOB: Mapping[str, object] = {"gpu_job": None}
_NO_KEY: Mapping[str, object] = {"deepgram_api_key": None}
POLICIES: Mapping[str, Mapping[str, object]] = {
    "all Deepgram": {"transcription_method": Method.DEEPGRAM},
    "all Parakeet, GPU job": {"transcription_method": Method.PARAKEET, **_NO_CPU_JOB},
    "all Parakeet, CPU job": {**_NO_GPU_JOB, **_NO_KEY},
    "all Parakeet, both jobs": _NO_KEY,
    "decision table": {"cost_optimization": False},
    "cost policy without the CPU job": _NO_CPU_JOB,
    "cost policy without the GPU job": _NO_GPU_JOB,
    "cost policy": {},
    "cost policy, time worth nothing": {"time_value_usd_per_minute": 0.0},
    "cost policy, waiting 10 min": {"gather_seconds": 600.0},
    "cost policy, waiting 1 h": {"gather_seconds": 3600.0},
    "cost policy without the CPU job, waiting 10 min": {"gather_seconds": 600.0, **_NO_CPU_JOB},
    "all Parakeet, both jobs, waiting 10 min": {"gather_seconds": 600.0, **_NO_KEY},
    "all Parakeet, both jobs, waiting 1 h": {"gather_seconds": 3600.0, **_NO_KEY},
}
"""Settings of each deployment, beside those of all four ways."""
_DEPLOYMENT = {
    "google_cloud_project": "bench",
    "results_bucket": "results",
    "state_bucket": "state",
    "gpu_job": JOB_NAME.format("gpu"),
    "cpu_job": JOB_NAME.format("cpu"),
    "deepgram_api_key": "none is called",
}


@dataclass
class Result:
    """What one policy made of the month."""

    job_usd: dict[JobDevice, float] = field(default_factory=dict)
    api_usd: float = 0.0
    seconds: list[float] = field(default_factory=list)
    """From each upload to its transcript."""
    ends: list[float] = field(default_factory=list)
    """When each transcript is there, in seconds since the month began."""
    ways: Counter[str] = field(default_factory=Counter)
    """Uploads by method and job."""
    spent: dict[JobDevice, Spent] = field(default_factory=dict)
    most_at_once: dict[JobDevice, int] = field(default_factory=dict)
    """Executions that ran at the same time, at most."""

    @property
    def usd(self) -> float:
        return sum(self.job_usd.values()) + self.api_usd


def month_of_uploads() -> Iterator[Measurement]:
    """Each policy's cost beside all-Deepgram's, and its completion times."""
    arrivals = month()
    results = {name: simulate(arrivals, settings_of(changes)) for name, changes in POLICIES.items()}
    hours = sum(arrival.media.duration_seconds for arrival in arrivals) / 3600
    deepgram = results["all Deepgram"]
    for name, result in results.items():
        yield _cost(name, result, deepgram.usd, hours)
        yield _times(name, result)


BURST_HOURS = 1_000.0
BURSTS: Mapping[str, Mapping[str, object]] = {
    **{
        f"{count} executions at most": {
            "transcription_method": Method.PARAKEET,
            **_NO_CPU_JOB,
            **_NO_KEY,
            "max_parallel_tasks": count,
        }
        for count in (1, 5, 10, 20)
    },
    "cost policy": {},
}


def burst() -> Iterator[Measurement]:
    """1,000 hours dropped in a minute: when the last transcript is there, and what it costs."""
    arrivals = burst_of(BURST_HOURS)
    hours = sum(arrival.media.duration_seconds for arrival in arrivals) / 3600
    for name, changes in BURSTS.items():
        result = simulate(arrivals, settings_of(changes))
        spent, most = result.spent[JobDevice.GPU], result.most_at_once[JobDevice.GPU]
        ways = ", ".join(f"{count} {way}" for way, count in result.ways.most_common())
        about = f"{len(arrivals)} uploads, {hours:.0f} h; {most} GPUs at once, {spent.executions} executions; {ways}"
        minutes = (max(result.ends) - arrivals[-1].at) / 60
        yield Measurement(f"burst, {name}: drained after", minutes, "min", about, "-", None)
        per_hour = f"${result.usd / hours:.4f} an audio hour, start-up {spent.start_up / spent.total:.1%} of the GPU's"
        yield Measurement(f"burst, {name}: cost", result.usd, "$", per_hour, "-", None)


MANY_A_MONTH = 1_000_000


def million() -> Iterator[Measurement]:
    """A working day of a month with a million uploads, all to the GPU job: what the number of slots decides."""
    arrivals = working_day(MANY_A_MONTH)
    hours = sum(arrival.media.duration_seconds for arrival in arrivals) / 3600
    minutes = Counter(int(arrival.at / 60) for arrival in arrivals)
    for count in (5, 10, 20, 40):
        changes = {"transcription_method": Method.PARAKEET, **_NO_CPU_JOB, **_NO_KEY, "max_parallel_tasks": count}
        result = simulate(arrivals, settings_of(changes))
        spent, most = result.spent[JobDevice.GPU], result.most_at_once[JobDevice.GPU]
        name = f"a day of {MANY_A_MONTH:,} uploads a month, {count} executions at most"
        about = f"{len(arrivals):,} uploads, {hours:,.0f} h, at most {max(minutes.values())} a minute"
        waited = sorted(seconds / 60 for seconds in result.seconds)
        half, most_of = (waited[int(len(waited) * share)] for share in (0.5, 0.99))
        about = f"{about}; p50 {half:.1f}, p99 {most_of:.0f} min; {most} GPUs at once, {spent.executions} executions"
        yield Measurement(f"{name}: completion, p95", waited[int(len(waited) * 0.95)], "min", about, "-", None)
        per_hour = f"${result.usd / hours:.4f} an audio hour, start-up {spent.start_up / spent.total:.0%}"
        yield Measurement(f"{name}: cost", result.usd, "$", per_hour, "-", None)


def settings_of(changes: Mapping[str, object]) -> FunctionSettings:
    """A deployment with the shipped settings, but for `changes`."""
    return FunctionSettings.model_validate({**_DEPLOYMENT, **changes})


def simulate(arrivals: Sequence[Arrival], settings: FunctionSettings) -> Result:
    """The month under one deployment's settings."""
    prices, speeds = price_book(), settings.initial_speeds(settings.shape.gpu)
    router = Router.from_settings(settings, prices)
    shapes = {JobDevice.GPU: router.gpu_job_shape, JobDevice.CPU: router.cpu_job_shape}
    jobs = {device: _job(device, shape, speeds, settings) for device, shape in shapes.items()}
    result = Result(spent={device: job.spent for device, job in jobs.items()})
    waiting = dict[int, tuple[Arrival, float]]()

    def ended(finished: Iterable[Done]) -> None:
        for done in finished:
            arrival, api_seconds = waiting.pop(done.number)
            # Hybrid: the job asks Deepgram for the rest when it turns to the upload.
            result.ends.append(max(done.at, done.began + api_seconds))
            result.seconds.append(result.ends[-1] - arrival.at)

    for arrival in arrivals:
        for job in jobs.values():
            ended(job.run(arrival.at))
        upload = UploadFacts(arrival.upload.job_id, arrival.media, UploadOptions())
        gpu_queue, cpu_queue = (jobs[device].queue(arrival.at) for device in (JobDevice.GPU, JobDevice.CPU))
        decision = router.decide(upload, Conditions(speeds, queue=gpu_queue, cpu_queue=cpu_queue))
        result.ways[decision.label] += 1
        share = _deepgram_share(decision)
        result.api_usd += _api_usd(arrival, share, settings, prices)
        api_seconds = share * arrival.media.duration_seconds / speeds.deepgram_x_real_time
        if decision.device is None:
            result.seconds.append(api_seconds)
            result.ends.append(arrival.at + api_seconds)
            continue
        waiting[arrival.upload.generation] = (arrival, api_seconds)
        wait = decision.quote.gather_seconds if decision.quote else 0.0
        audio = (1 - share) * arrival.media.duration_seconds
        jobs[decision.device].add(arrival.at, arrival.upload.generation, audio, wait)
    for device, job in jobs.items():
        ended(job.finish())
        result.job_usd[device] = job.spent.total * instance_second_usd(shapes[device], prices)
        result.most_at_once[device] = job.most_at_once
    return result


def _job(device: JobDevice, shape: JobShape, speeds: Speeds, settings: FunctionSettings) -> SimulatedJob:
    speed = speeds.of(shape.device)
    return SimulatedJob(
        speed.startup_seconds,
        speed.x_real_time,
        speeds.decode_x_real_time,
        settings.work_idle_seconds,
        BATCH_SECONDS if shape.gpu else 0.0,
        settings.gather_rules,
        settings.launch_rules(device),
    )


def _deepgram_share(decision: Decision) -> float:
    return decision.quote.deepgram_share if decision.quote else 0.0


def _api_usd(arrival: Arrival, share: float, settings: FunctionSettings, prices: PriceBook) -> float:
    media = arrival.media
    audio_seconds, sent_bytes = share * media.duration_seconds, share * media.size_bytes
    return deepgram_bill(settings.deepgram_model, audio_seconds, sent_bytes, prices).usd


def _cost(name: str, result: Result, deepgram_usd: float, hours: float) -> Measurement:
    saved = 1 - result.usd / deepgram_usd
    ways = ", ".join(f"{count} {way}" for way, count in result.ways.most_common())
    peer = f"saved {saved:.1%} of Deepgram's ${deepgram_usd:.0f}; ${result.usd / hours:.4f} an hour; {ways}"
    for device, spent in result.spent.items():
        if spent.executions:
            shares = f"start-up {spent.start_up / spent.total:.0%}, idle {spent.idle / spent.total:.0%}"
            peer += f"; {device.upper()} ${result.job_usd[device]:.2f} in {spent.executions} executions, {shares}"
    if not name.startswith("cost policy"):
        return Measurement(f"month, {name}: cost", result.usd, "$", peer, "-", None)
    return Measurement(f"month, {name}: cost", result.usd, "$", peer, "<= all Deepgram", result.usd <= deepgram_usd)


def _times(name: str, result: Result) -> Measurement:
    minutes = sorted(seconds / 60 for seconds in result.seconds)
    half, most, nearly_all = (minutes[int(len(minutes) * share)] for share in (0.5, 0.95, 0.99))
    peer = f"p50 {half:.2f}, p99 {nearly_all:.2f}, longest {minutes[-1]:.1f} min"
    return Measurement(f"month, {name}: completion, p95", most, "min", peer, "-", None)
