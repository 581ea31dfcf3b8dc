"""Both policies over a grid of lengths, sizes, GPU states and prices, as `golden_decisions.txt` has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.costs.gathering import Queue
from shared.costs.prices import Price
from shared.enums import JobDevice
from tests.support.routing_cases import ALL, COST, MB, PRICING, TABLE, make_conditions, media, router, upload
from trigger_function.routing.limits import DeploymentLimits
from trigger_function.routing.router import Policy

GOLDEN = Path(__file__).with_name("golden_decisions.txt")
BY_DEADLINE = Policy(limits=DeploymentLimits(max_completion_minutes=4))
SECTIONS = {
    "decision table": (TABLE, 0.0043),
    "lowest score, Deepgram at $0.0043 a minute": (COST, 0.0043),
    "lowest score, Deepgram at $0.0077 a minute": (COST, 0.0077),
    "lowest score within 4 minutes, Deepgram at $0.0043 a minute": (BY_DEADLINE, 0.0043),
}
SECONDS = {"s": 1, "min": 60, "h": 3600}
LARGE = 401 * MB
BYTES_PER_SECOND = 8_000
"""Of a small file: 64 kbit/s."""


class State(NamedTuple):
    """Of the jobs: whether an execution of the GPU job runs, whether the GPU works, which jobs there are."""

    running: bool = False
    healthy: bool = True
    cpu_job: bool = False
    gpu_job: bool = True


STATES = {
    "running": State(running=True),
    "idle": State(),
    "failing": State(healthy=False),
    "both, running": State(running=True, cpu_job=True),
    "both, idle": State(cpu_job=True),
    "both, failing": State(healthy=False, cpu_job=True),
    "CPU job alone": State(cpu_job=True, gpu_job=False),
}


def decided(length: str, size: str, state: str, policy: Policy, deepgram_usd: float) -> str:
    """`method` of one cell; with the job that is taken where it is the CPU job."""
    number, unit = length.split()
    seconds = float(number) * SECONDS[unit]
    what = media(seconds, LARGE if size == "large" else seconds * BYTES_PER_SECOND)
    job = STATES[state]
    deepgram = {"nova-3": Price(usd=deepgram_usd, source="test")}
    prices = PRICING.book.model_copy(update={"deepgram_minute": deepgram})
    conditions = make_conditions(gpu_healthy=job.healthy, queue=Queue(running=job.running))
    engines = replace(ALL, cpu=job.cpu_job, gpu=job.gpu_job)
    made = router(policy, engines, prices=prices).decide(upload(what), conditions)
    return f"{made.method.value}-cpu" if made.device is JobDevice.CPU else made.method.value


def rows() -> Iterator[tuple[str, str, str, list[str]]]:
    """Section, length, size and the methods of a row, in the order of STATES."""
    section = ""
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", "length")):
            yield section, line[:8].strip(), line[8:16].strip(), line[16:].split()


def test_the_table_has_every_section_and_state() -> None:
    seen = list(rows())
    assert {section for section, *_ in seen} == set(SECTIONS)
    assert all(len(methods) == len(STATES) for *_, methods in seen)


@pytest.mark.parametrize(("section", "length", "size", "methods"), list(rows()))
def test_decisions_are_as_in_the_table(section: str, length: str, size: str, methods: list[str]) -> None:
    assert [decided(length, size, state, *SECTIONS[section]) for state in STATES] == methods
