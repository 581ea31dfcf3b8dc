"""Deployments with a CPU job: four quotes beside each other, and what each kind of deployment does with an upload."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.costs.bill import LineItemKind
from shared.costs.gathering import Queue
from shared.costs.quote import Limit
from shared.costs.speeds import DeviceSpeed
from shared.enums import JobDevice, Method
from shared.errors import Rejected
from shared.languages.choice import LanguageChoice
from shared.options.model import Privacy, UploadOptions
from tests.support.routing_cases import (
    BOTH_JOBS,
    CPU_ALONE,
    CPU_AND_DEEPGRAM,
    PRICING,
    TABLE,
    make_conditions,
    media,
    routed,
    router,
    upload,
)
from trigger_function.routing.engines import Engines
from trigger_function.routing.limits import Conditions
from trigger_function.routing.router import Policy

PARAKEET, HYBRID, DEEPGRAM = Method.PARAKEET, Method.HYBRID, Method.DEEPGRAM
GPU, CPU = JobDevice.GPU, JobDevice.CPU
MINUTE, HOUR = 60.0, 3600.0
BYTES_PER_SECOND = 8_000


def way(seconds: float, engines: Engines, policy: Policy | None = None, **conditions: object) -> tuple[Method, object]:
    what = media(seconds, seconds * BYTES_PER_SECOND)
    decision = routed(what, policy or Policy(), engines, conditions=make_conditions(**conditions))
    return decision.method, decision.device


def test_both_jobs_are_quoted_each_at_its_price_and_speed() -> None:
    gpu, cpu, hybrid, deepgram = router(engines=BOTH_JOBS).quotes(upload(media(HOUR)), make_conditions())
    assert [(one.method, one.device) for one in (gpu, cpu, hybrid, deepgram)] == [
        (PARAKEET, GPU),
        (PARAKEET, CPU),
        (HYBRID, GPU),
        (DEEPGRAM, None),
    ]
    assert [one.label for one in (gpu, cpu, hybrid, deepgram)] == [
        "parakeet on the GPU",
        "parakeet on the CPU",
        "hybrid on the GPU",
        "deepgram",
    ]
    speed = PRICING.speeds.of("cpu")
    seconds = speed.startup_seconds + PRICING.idle_seconds + HOUR / speed.x_real_time
    assert cpu.bill.usd == pytest.approx(seconds * (4 * 0.000018 + 8 * 0.000002))
    assert cpu.bill.usd_of(kind=LineItemKind.GPU) == 0
    assert cpu.completion_seconds == pytest.approx(speed.startup_seconds + HOUR / speed.x_real_time)
    assert gpu.bill.usd_of(kind=LineItemKind.GPU) > 0


def test_each_job_has_a_queue_and_learned_speeds_of_its_own() -> None:
    devices = {**PRICING.speeds.devices, "cpu": DeviceSpeed(2.0, 50.0)}
    conditions = make_conditions(cpu_queue=Queue(running=True))
    conditions = replace(conditions, speeds=replace(PRICING.speeds, devices=devices))
    gpu, cpu, *_ = router(engines=BOTH_JOBS).quotes(upload(media(HOUR)), conditions)
    assert cpu.completion_seconds == pytest.approx(HOUR / 50)
    assert gpu.completion_seconds > 30


def test_a_lone_short_file_goes_to_the_cpu_job_and_a_long_one_to_the_gpu() -> None:
    assert way(5 * MINUTE, BOTH_JOBS) == (PARAKEET, CPU)
    assert way(3 * HOUR, BOTH_JOBS) == (PARAKEET, GPU)


def test_a_short_file_joins_the_execution_that_runs() -> None:
    assert way(5 * MINUTE, BOTH_JOBS, queue=Queue(running=True)) == (PARAKEET, GPU)
    assert way(10, BOTH_JOBS, cpu_queue=Queue(running=True)) == (PARAKEET, CPU)


def test_the_reason_tells_the_jobs_apart() -> None:
    reason = routed(media(5 * MINUTE, MINUTE * BYTES_PER_SECOND), engines=BOTH_JOBS).reason
    assert reason.startswith("Parakeet on the CPU is worth most: $")
    assert " for parakeet on the GPU" in reason


@pytest.mark.parametrize("policy", [Policy(), TABLE], ids=["cost", "table"])
def test_while_the_gpu_fails_the_cpu_job_does_the_work(policy: Policy) -> None:
    assert way(5 * MINUTE, BOTH_JOBS, policy, gpu_healthy=False) == (PARAKEET, CPU)
    decision = routed(media(HOUR), policy, BOTH_JOBS, conditions=make_conditions(gpu_healthy=False))
    (refused,) = [quote for quote in decision.quotes if (quote.method, quote.device) == (PARAKEET, GPU)]
    assert [refusal.limit for refusal in refused.refusals] == [Limit.NO_JOB]


@pytest.mark.parametrize("policy", [Policy(), TABLE], ids=["cost", "table"])
@pytest.mark.parametrize("hours", [0.001, 0.4, 3, 10])
def test_without_gpu_and_key_everything_goes_to_the_cpu_job(policy: Policy, hours: float) -> None:
    decision = routed(media(hours * HOUR, 450e6 if hours > 4 else 1e6), policy, CPU_ALONE)
    assert (decision.method, decision.device) == (PARAKEET, CPU)
    assert all(quote.device is not GPU for quote in decision.quotes)


@pytest.mark.parametrize("requested", [PARAKEET, HYBRID, DEEPGRAM])
def test_without_gpu_and_key_a_requested_method_is_parakeet_on_the_cpu(requested: Method) -> None:
    decision = routed(media(HOUR), engines=CPU_ALONE, options=UploadOptions(method=requested))
    assert (decision.method, decision.device) == (PARAKEET, CPU)


def test_without_a_gpu_a_hybrid_is_done_with_the_cpu_job() -> None:
    decision = routed(media(HOUR), engines=CPU_AND_DEEPGRAM, options=UploadOptions(deadline_minutes=1))
    hybrid = next(quote for quote in decision.quotes if quote.method is HYBRID)
    assert (hybrid.device, hybrid.bill.usd_of(kind=LineItemKind.GPU)) == (CPU, 0)
    requested = routed(media(HOUR), engines=CPU_AND_DEEPGRAM, options=UploadOptions(method=HYBRID))
    assert (requested.method, requested.device) == (HYBRID, CPU)


def test_a_requested_parakeet_takes_the_job_that_the_policy_would_take() -> None:
    requested = UploadOptions(method=PARAKEET)
    short = routed(media(MINUTE), engines=BOTH_JOBS, options=requested)
    long = routed(media(5 * HOUR), engines=BOTH_JOBS, options=requested)
    assert [(one.method, one.device, one.rule) for one in (short, long)] == [
        (PARAKEET, CPU, "requested"),
        (PARAKEET, GPU, "requested"),
    ]


def test_a_deadline_decides_between_the_jobs() -> None:
    what, options = media(10 * MINUTE), UploadOptions(method=PARAKEET, deadline_minutes=0.8)
    assert routed(what, engines=BOTH_JOBS, options=options).device is GPU
    assert routed(what, engines=BOTH_JOBS).device is CPU


def test_a_cost_limit_that_the_gpu_would_pass_is_met_by_the_cpu_job() -> None:
    options = UploadOptions(method=PARAKEET, max_cost_usd=0.005, privacy=Privacy.LOCAL)
    assert routed(media(MINUTE), engines=BOTH_JOBS, options=options).device is CPU
    with pytest.raises(Rejected, match=r"parakeet on the GPU: .*; parakeet on the CPU: "):
        routed(media(3 * HOUR), engines=BOTH_JOBS, options=options)


def test_a_private_file_stays_with_the_jobs() -> None:
    private = UploadOptions(privacy=Privacy.LOCAL)
    for engines in (BOTH_JOBS, CPU_AND_DEEPGRAM, CPU_ALONE):
        assert routed(media(20), engines=engines, options=private).method is PARAKEET


def test_a_fallback_takes_the_job_that_is_worth_most() -> None:
    decision = routed(media(MINUTE), engines=BOTH_JOBS, options=UploadOptions(method=DEEPGRAM))
    instead = router(engines=BOTH_JOBS).fallback(decision, PARAKEET, "It failed.")
    assert (instead.method, instead.device, instead.rule) == (PARAKEET, CPU, "requested-fallback")
    assert instead.quote is not None
    assert instead.quote.device is CPU


@given(seconds=st.floats(1, 40 * HOUR), cpu=st.booleans(), gpu=st.booleans(), healthy=st.booleans(), key=st.booleans())
def test_no_upload_waits_for_a_job_that_is_not_there(
    seconds: float, cpu: bool, gpu: bool, healthy: bool, key: bool
) -> None:
    engines = Engines(gpu=gpu, cpu=cpu, deepgram=key, deepgram_max_bytes=10**12)
    decision = routed(media(seconds), engines=engines, conditions=make_conditions(gpu_healthy=healthy))
    assert decision.quote is not None
    if cpu or (gpu and healthy) or key:
        assert not any(refusal.limit is Limit.NO_JOB for refusal in decision.quote.refusals)
        if decision.device is not None:
            assert {GPU: gpu and healthy, CPU: cpu}[decision.device]


def test_an_upload_that_a_slow_model_hears_is_quoted_with_that_models_speed() -> None:
    conditions = Conditions(replace(PRICING.speeds, models={("cpu", "whisper-base"): 0.5}))
    what, japanese = media(3600), UploadOptions(language=LanguageChoice(tags=("ja",)))
    slow, usual = (
        next(one for one in router(engines=CPU_ALONE).quotes(upload(what, options), conditions) if one.device)
        for options in (japanese, UploadOptions())
    )
    assert slow.completion_seconds > 7200 > usual.completion_seconds
    assert slow.bill.usd > 2 * usual.bill.usd


def test_what_waits_is_counted_at_the_own_models_speed_whoever_comes_behind_it() -> None:
    speeds = replace(PRICING.speeds, models={("cpu", "whisper-base"): 0.5})
    conditions = replace(make_conditions(cpu_queue=Queue(running=True, waiting_seconds=HOUR)), speeds=speeds)
    japanese = UploadOptions(language=LanguageChoice(tags=("ja",)))
    for options in (japanese, UploadOptions()):
        quotes = router(engines=CPU_ALONE).quotes(upload(media(60), options), conditions)
        assert quotes[0].queue_seconds == pytest.approx(HOUR / speeds.of("cpu").x_real_time)
