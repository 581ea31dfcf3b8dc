"""A month of 10,000 uploads through both policies and through each engine alone: cost, times, savings.

Decisions are the function's own code; the job's executions are simulated (`month_gpu.py`), so what a policy is told by
a quote and what it then costs may differ. Deepgram answers at the speed that the settings assume.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.month_gpu import GpuJob, Spent
from benchmarks.month_uploads import Arrival, month
from benchmarks.report import Measurement
from shared.costs.bill import deepgram_bill, instance_second_usd
from shared.costs.gathering import Queue
from shared.costs.prices import PriceBook, price_book
from shared.enums import Method
from shared.messages import Decision
from shared.upload_options import UploadOptions
from trigger_function.routing.limits import Conditions, UploadFacts
from trigger_function.routing.router import Router
from trigger_function.settings import FunctionSettings

POLICIES: Mapping[str, Mapping[str, object]] = {
    "all Deepgram": {"transcription_method": Method.DEEPGRAM},
    "all Parakeet": {"transcription_method": Method.PARAKEET},
    "decision table": {"cost_optimization": False},
    "cost policy": {},
    "cost policy, time worth nothing": {"time_value_usd_per_minute": 0.0},
}
_DEPLOYMENT = {
    "google_cloud_project": "bench",
    "results_bucket": "results",
    "state_bucket": "state",
    "gpu_job": "projects/bench/locations/here/jobs/gpu",
    "deepgram_api_key": "none is called",
}


@dataclass
class Result:
    """What one policy made of the month."""

    gpu_usd: float = 0.0
    api_usd: float = 0.0
    seconds: list[float] = field(default_factory=list)
    """From each upload to its transcript."""
    methods: Counter[Method] = field(default_factory=Counter)
    spent: Spent = field(default_factory=Spent)

    @property
    def usd(self) -> float:
        return self.gpu_usd + self.api_usd


def month_of_uploads() -> Iterator[Measurement]:
    """Each policy's cost beside all-Deepgram's, and its completion times."""
    arrivals = month()
    results = {name: simulate(arrivals, settings_of(changes)) for name, changes in POLICIES.items()}
    hours = sum(arrival.media.duration_seconds for arrival in arrivals) / 3600
    deepgram = results["all Deepgram"]
    for name, result in results.items():
        yield _cost(name, result, deepgram.usd, hours)
        yield _times(name, result)


def settings_of(changes: Mapping[str, object]) -> FunctionSettings:
    """A deployment with the shipped settings, but for `changes`."""
    return FunctionSettings.model_validate({**_DEPLOYMENT, **changes})


def simulate(arrivals: Sequence[Arrival], settings: FunctionSettings) -> Result:
    """The month under one deployment's settings."""
    prices, speeds = price_book(), settings.initial_speeds(settings.shape.gpu)
    router = Router.from_settings(settings, prices)
    device = speeds.of(settings.shape.device)
    job = GpuJob(device.startup_seconds, device.x_real_time, speeds.decode_x_real_time, settings.work_idle_seconds)
    result, waiting = Result(spent=job.spent), dict[int, tuple[Arrival, float]]()

    def ended() -> None:
        for done in finished:
            arrival, api_seconds = waiting.pop(done.number)
            # Hybrid: the job asks Deepgram for the rest when it turns to the upload.
            result.seconds.append(max(done.at, done.began + api_seconds) - arrival.at)

    for arrival in arrivals:
        finished = list(job.run(arrival.at))
        ended()
        upload = UploadFacts(arrival.upload.job_id, arrival.media, UploadOptions())
        decision = router.decide(upload, Conditions(speeds, queue=Queue(running=job.is_live(arrival.at))))
        result.methods[decision.method] += 1
        share = _deepgram_share(decision)
        result.api_usd += _api_usd(arrival, share, settings, prices)
        api_seconds = share * arrival.media.duration_seconds / speeds.deepgram_x_real_time
        if decision.method is Method.DEEPGRAM:
            result.seconds.append(api_seconds)
            continue
        waiting[arrival.upload.generation] = (arrival, api_seconds)
        job.add(arrival.at, arrival.upload.generation, (1 - share) * arrival.media.duration_seconds)
    finished = list(job.finish())
    ended()
    result.gpu_usd = job.spent.total * instance_second_usd(settings.shape, prices)
    return result


def _deepgram_share(decision: Decision) -> float:
    return decision.quote.deepgram_share if decision.quote else 0.0


def _api_usd(arrival: Arrival, share: float, settings: FunctionSettings, prices: PriceBook) -> float:
    media = arrival.media
    audio_seconds, sent_bytes = share * media.duration_seconds, share * media.size_bytes
    return deepgram_bill(settings.deepgram_model, audio_seconds, sent_bytes, prices).usd


def _cost(name: str, result: Result, deepgram_usd: float, hours: float) -> Measurement:
    spent, saved = result.spent, 1 - result.usd / deepgram_usd
    methods = ", ".join(f"{count} {method.value}" for method, count in result.methods.most_common())
    peer = f"saved {saved:.1%} of Deepgram's ${deepgram_usd:.0f}; ${result.usd / hours:.4f} an hour; {methods}"
    if spent.executions:
        shares = f"start-up {spent.start_up / spent.total:.0%}, idle {spent.idle / spent.total:.0%}"
        peer += f"; GPU ${result.gpu_usd:.2f} in {spent.executions} executions, {shares}"
    if not name.startswith("cost policy"):
        return Measurement(f"month, {name}: cost", result.usd, "$", peer, "-", None)
    return Measurement(f"month, {name}: cost", result.usd, "$", peer, "<= all Deepgram", result.usd <= deepgram_usd)


def _times(name: str, result: Result) -> Measurement:
    minutes = sorted(seconds / 60 for seconds in result.seconds)
    half, most, nearly_all = (minutes[int(len(minutes) * share)] for share in (0.5, 0.95, 0.99))
    peer = f"p50 {half:.2f}, p99 {nearly_all:.2f}, longest {minutes[-1]:.1f} min"
    return Measurement(f"month, {name}: completion, p95", most, "min", peer, "-", None)
