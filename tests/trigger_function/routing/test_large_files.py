"""A file that no instance of a job could hold goes to the other job, or to Deepgram, or is rejected at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.enums import JobDevice, Method
from shared.errors import Rejected
from shared.options.model import UploadOptions
from tests.support.routing_cases import (
    ALL,
    BOTH_JOBS,
    COST,
    CPU_ALONE,
    CPU_AND_DEEPGRAM,
    MB,
    NO_DEEPGRAM,
    TABLE,
    make_conditions,
    media,
    routed,
    router,
    upload,
)
from trigger_function.routing.engines import job_obstacle
from trigger_function.routing.router import Policy

HOUR = 3600.0
GB = 1000 * MB
PARAKEET, HYBRID, DEEPGRAM = Method.PARAKEET, Method.HYBRID, Method.DEEPGRAM
POLICIES = pytest.mark.parametrize("policy", [TABLE, COST], ids=["table", "cost"])


def test_the_room_is_exact_to_the_byte_and_each_jobs_own() -> None:
    engines = replace(BOTH_JOBS, gpu_file_bytes=10 * 2**30, cpu_file_bytes=5 * GB)
    assert job_obstacle(JobDevice.GPU, media(1, 10 * 2**30), engines) is None
    assert job_obstacle(JobDevice.GPU, media(1, 10 * 2**30 + 1), engines) == (
        "the file has 10.74 GB and an instance of the GPU job has room for 10.74 GB only"
    )
    assert job_obstacle(JobDevice.CPU, media(1, 6 * GB), engines) == (
        "the file has 6.00 GB and an instance of the CPU job has room for 5.00 GB only"
    )
    assert job_obstacle(JobDevice.GPU, media(1, 99 * GB), BOTH_JOBS) is None, "the disk is not known"


@POLICIES
@pytest.mark.parametrize("requested", [None, PARAKEET, HYBRID])
def test_deepgram_takes_what_its_own_limit_allows(policy: Policy, requested: Method | None) -> None:
    engines = replace(ALL, gpu_file_bytes=GB)
    decision = routed(media(60, 1.5 * GB), policy, engines, UploadOptions(method=requested))
    assert decision.method is DEEPGRAM
    whys = {quote.method: [one.why for one in quote.refusals] for quote in decision.quotes}
    why = "the file has 1.50 GB and an instance of the GPU job has room for 1.00 GB only"
    assert why in whys[PARAKEET]
    assert why in whys[HYBRID]
    assert whys[DEEPGRAM] == []
    if requested is not None:
        assert decision.rule == "requested-too-large"
        assert why[1:] in decision.reason


@POLICIES
@pytest.mark.parametrize("requested", [None, PARAKEET])
def test_the_job_with_more_room_is_taken(policy: Policy, requested: Method | None) -> None:
    sizes = {JobDevice.GPU: (GB, 20 * GB), JobDevice.CPU: (20 * GB, GB)}
    for device, (cpu_bytes, gpu_bytes) in sizes.items():
        engines = replace(BOTH_JOBS, gpu_file_bytes=gpu_bytes, cpu_file_bytes=cpu_bytes)
        engines = replace(engines, fallback=requested is None)
        decision = routed(media(HOUR, 12 * GB), policy, engines, UploadOptions(method=requested))
        assert (decision.method, decision.device) == (PARAKEET, device)


@POLICIES
@pytest.mark.parametrize(
    ("engines", "says"),
    [
        (
            NO_DEEPGRAM,
            "on the GPU: the file has 12.00 GB and an instance of the GPU job has room for 10.00 GB",
        ),
        (CPU_ALONE, "on the CPU: the file has 12.00 GB and an instance of the CPU job has room for 10.00 GB"),
        (CPU_AND_DEEPGRAM, "deepgram: Deepgram takes at most 2 GB"),
        (BOTH_JOBS, "parakeet on the CPU: the file has 12.00 GB"),
    ],
)
def test_what_nobody_can_take_is_rejected_with_the_sizes(policy: Policy, engines: object, says: str) -> None:
    small = replace(engines, gpu_file_bytes=10 * GB, cpu_file_bytes=10 * GB)  # type: ignore[type-var]
    with pytest.raises(Rejected, match=r"^No method may transcribe the file: ") as caught:
        routed(media(HOUR, 12 * GB), policy, small)
    assert says in caught.value.reason


def test_a_private_file_is_not_sent_to_deepgram_for_its_size() -> None:
    with pytest.raises(Rejected, match=r"room for 1\.00 GB only"):
        routed(media(60, 1.5 * GB), COST, replace(ALL, gpu_file_bytes=GB), UploadOptions(privacy="local"))


def test_without_fallback_another_engine_takes_no_large_file() -> None:
    engines = replace(ALL, gpu_file_bytes=GB, fallback=False)
    with pytest.raises(Rejected, match=r"Parakeet cannot be used: the file has 1\.50 GB .* fallback is switched off"):
        routed(media(60, 1.5 * GB), COST, engines, UploadOptions(method=PARAKEET))
    assert routed(media(60, 1.5 * GB), COST, engines).method is DEEPGRAM


def test_after_deepgram_failed_the_job_that_holds_the_file_takes_over() -> None:
    engines = replace(BOTH_JOBS, gpu_file_bytes=20 * GB, cpu_file_bytes=GB)
    made = router(COST, engines)
    decision = made.decide(upload(media(60, 1.5 * GB), UploadOptions(method=DEEPGRAM)), make_conditions())
    assert made.fallback(decision, PARAKEET, "Parakeet takes over.").device is JobDevice.GPU
