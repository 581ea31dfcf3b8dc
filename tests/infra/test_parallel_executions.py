"""How many executions a project's quotas hold, beside how many a deployment asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.doctor.parallel_executions import NO_LIMIT, JobDemand, Quotas, demands, lines_to_add, what_is_held

SHIPPED = demands(("gpu", "cpu"), {})
NEW_PROJECT = Quotas(vcpu=20, gib=40, gpus=1)
AMOUNTS = st.integers(1, 100)


def test_the_shipped_jobs_are_those_of_terraform() -> None:
    assert (JobDemand("gpu", 4, 16, 5), JobDemand("cpu", 4, 8, 5)) == SHIPPED


@pytest.mark.parametrize(
    ("quotas", "gpu", "cpu", "lines"),
    [
        (NEW_PROJECT, 1, 5, ("gpu_job = { max_parallel_tasks = 1 }",)),
        (Quotas(20, 40, 5), 2, 5, ("gpu_job = { max_parallel_tasks = 2 }",)),
        (Quotas(20, 80, 5), 5, 5, ()),
        (Quotas(16, 80, 5), 4, 4, ("gpu_job = { max_parallel_tasks = 4 }", "cpu_job = { max_parallel_tasks = 4 }")),
        (Quotas(20, 8, 5), 0, 1, ("cpu_job = { max_parallel_tasks = 1 }",)),
        (Quotas(NO_LIMIT, NO_LIMIT, 3), 3, None, ("gpu_job = { max_parallel_tasks = 3 }",)),
        (Quotas(NO_LIMIT, NO_LIMIT, NO_LIMIT), None, None, ()),
    ],
)
def test_what_fits_and_the_lines_that_ask_for_no_more(
    quotas: Quotas, gpu: int | None, cpu: int | None, lines: tuple[str, ...]
) -> None:
    assert [job.held_by(quotas) for job in SHIPPED] == [gpu, cpu]
    assert lines_to_add(SHIPPED, quotas) == lines


def test_a_person_reads_what_fits_and_what_is_asked_for() -> None:
    assert what_is_held(SHIPPED, NEW_PROJECT) == (
        "While nothing else runs the quotas hold 1 of the GPU job (max_parallel_tasks: 5)"
        " or 5 of the CPU job (max_parallel_tasks: 5)."
    )
    assert what_is_held(SHIPPED, Quotas(NO_LIMIT, NO_LIMIT, NO_LIMIT)) == ""


def test_a_deployments_own_shapes_and_numbers_count() -> None:
    variables = {"JOB_VCPU": "8", "JOB_MEMORY_GIB": "32", "MAX_PARALLEL_TASKS": "2", "CPU_MAX_PARALLEL_TASKS": "1"}
    jobs = demands(("gpu", "cpu"), variables)
    assert jobs == (JobDemand("gpu", 8, 32, 2), JobDemand("cpu", 4, 8, 1))
    assert lines_to_add(jobs, Quotas(20, 64, 5)) == ()


@pytest.mark.parametrize("wrong", ["", "many", "0", "-4", "nan", "inf"])
def test_what_a_deployment_says_wrongly_is_as_shipped(wrong: str) -> None:
    assert demands(("gpu", "cpu"), {"CPU_JOB_VCPU": wrong, "MAX_PARALLEL_TASKS": wrong}) == SHIPPED


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_one_more_than_is_held_does_not_fit(vcpu: int, gib: int, gpus: int, job_vcpu: int, job_gib: int) -> None:
    job = JobDemand("gpu", job_vcpu, job_gib, 5)
    count = job.held_by(Quotas(vcpu, gib, gpus))
    assert count is not None

    def fits(number: int) -> bool:
        return number * job_vcpu <= vcpu and number * job_gib <= gib and number <= gpus

    assert fits(count)
    assert not fits(count + 1)
