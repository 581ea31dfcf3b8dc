"""How many executions of each job the project's quotas hold at once, beside how many the deployment asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trigger_function.settings.function import FunctionSettings

NO_LIMIT = -1


@dataclass(frozen=True)
class Quotas:
    """What Cloud Run grants in the region for all that runs at once; NO_LIMIT: as much as is wanted."""

    vcpu: float
    gib: float
    gpus: int


@dataclass(frozen=True)
class JobDemand:
    """A job's shape, and how many executions of it may be started at once."""

    device: str
    vcpu: float
    gib: float
    most: int

    def held_by(self, quotas: Quotas) -> int | None:
        """How many executions fit where nothing else runs; None: no quota limits them."""
        takes = [(quotas.vcpu, self.vcpu), (quotas.gib, self.gib)]
        if self.device == "gpu":
            takes.append((quotas.gpus, 1))
        return min((int(quota // each) for quota, each in takes if quota >= 0), default=None)


def demands(devices: Iterable[str], variables: Mapping[str, str]) -> tuple[JobDemand, ...]:
    """Of a deployment's jobs, by the environment of its function; as shipped, where that does not say.

    What it says wrongly is a finding of the check of the functions.
    """

    def value(name: str) -> float:
        shipped = float(FunctionSettings.model_fields[name].default)
        try:
            given = float(variables.get(name.upper(), ""))
        except ValueError:
            return shipped
        return given if given > 0 and math.isfinite(given) else shipped

    names = {
        "gpu": ("job_vcpu", "job_memory_gib", "max_parallel_tasks"),
        "cpu": ("cpu_job_vcpu", "cpu_job_memory_gib", "cpu_max_parallel_tasks"),
    }
    return tuple(
        JobDemand(device, value(vcpu), value(gib), int(value(most)))
        for device in devices
        for vcpu, gib, most in [names[device]]
    )


def what_is_held(jobs: Sequence[JobDemand], quotas: Quotas) -> str:
    """A sentence for people, empty where no job is limited: `... the quotas hold 2 of the GPU job ...`."""
    held = [(job, count) for job in jobs for count in [job.held_by(quotas)] if count is not None]
    if not held:
        return ""
    counts = " or ".join(
        f"{count} of the {job.device.upper()} job (max_parallel_tasks: {job.most})" for job, count in held
    )
    return f"While nothing else runs the quotas hold {counts}."


def lines_to_add(jobs: Sequence[JobDemand], quotas: Quotas) -> tuple[str, ...]:
    """For the file of variables, a line for each job that asks for more executions than fit, though one does."""
    return tuple(
        f"{job.device}_job = {{ max_parallel_tasks = {count} }}"
        for job in jobs
        for count in [job.held_by(quotas)]
        if count is not None and 0 < count < job.most
    )
