"""Whether the deployment gets a GPU job: asked of the project's quota, before anything is built.

A new project has no quota for a GPU, and Cloud Run then refuses to create a job with one. Where the file of variables
says nothing, the quota decides; its answer is a file that Terraform reads by itself, below the file of variables.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from infra.deploy.variables import Variables
from infra.deploy.workspace import module_of
from infra.doctor.checks_project import GPU_QUOTA, limit_of, quota_link
from infra.doctor.credentials import SignedIn, sign_in
from infra.doctor.google import Unanswered
from infra.doctor.names import Names
from infra.doctor.parallel_executions import NO_LIMIT
from infra.doctor.settings import DoctorSettings

CHOICE = "gpu.auto.tfvars.json"
"""In Terraform's folder. A value of the file of variables wins over it."""
ATTEMPTS = 3
PAUSE_SECONDS = 20.0
"""An API that was enabled a moment ago is not known everywhere yet."""


@dataclass(frozen=True)
class Choice:
    """Whether there is a GPU job, or why the deploy stops; and the sentence for it."""

    gpu: bool | None
    """None: it stops."""
    says: str


def choose(limit: int | None, wanted: bool | None, names: Names) -> Choice:
    """By the quota (None: not known) and by what the file of variables says (None: nothing)."""
    where = f"{names.project}, {names.region}"
    if wanted is False:
        return Choice(False, "No GPU job is wanted: gpu_enabled or gpu_job says so.")
    has_quota = limit is not None and (limit == NO_LIMIT or limit > 0)
    if has_quota:
        return Choice(True, f"There is quota for an L4 in {where}: with a GPU job.")
    if limit is None and wanted:
        return Choice(True, "The quota is not known; the file of variables wants a GPU job.")
    if limit is None:
        return Choice(None, "The quota is not known. Add one line to the file of variables (VARS): gpu_enabled = false")
    ask = f"Ask for quota: {quota_link(names)}"
    if wanted:
        return Choice(None, f"No quota for an L4 in {where}. Add to VARS: gpu_enabled = false\n{ask}")
    later = "With quota, the next deploy adds it and builds nothing."
    return Choice(False, f"No quota for an L4 in {where}: without a GPU job. {later}\n{ask}")


def wanted_by(variables: Variables) -> bool | None:
    """What the file says: either switch off means none; either on, and none off, means one."""
    switches = (variables.flag("gpu_enabled"), variables.flag("gpu_job", "enabled"))
    if False in switches:
        return False
    return True if True in switches else None


def quota(names: Names, settings: DoctorSettings) -> int | None:
    """L4 GPUs that the region grants; -1: no limit, None: not known."""
    for attempt in range(ATTEMPTS):
        signed_in = sign_in(names, settings)
        if not isinstance(signed_in, SignedIn):
            print(f"{signed_in.says} {signed_in.fix}", file=sys.stderr)
            return None
        try:
            return limit_of(GPU_QUOTA, names, signed_in.google)
        except Unanswered as error:
            print(f"{error.says} {error.fix}", file=sys.stderr)
            if attempt + 1 < ATTEMPTS:
                time.sleep(PAUSE_SECONDS)
    return None


def main(folder: Path, names: Names, variables: Path | None) -> int:
    """Write the choice into the workspace at `folder`. 1 where the deploy must not go on."""
    wanted = wanted_by(Variables() if variables is None else Variables.read(variables))
    choice = choose(None if wanted is False else quota(names, DoctorSettings()), wanted, names)
    print(choice.says)
    if choice.gpu is None:
        return 1
    (module_of(folder) / CHOICE).write_text(json.dumps({"gpu_enabled": choice.gpu}) + "\n")
    return 0


if __name__ == "__main__":
    _, place, project, region, *file = sys.argv
    sys.exit(main(Path(place), Names(project, region), Path(file[0]) if file else None))
