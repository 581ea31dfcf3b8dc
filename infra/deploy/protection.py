"""Lifting the deletion protection of what Terraform's state holds, for `make destroy`.

Terraform deletes a resource by what was applied last, so a variable that is given to `destroy` alone comes too late.
And a whole apply would first complete a deployment that had failed half-way. So what is protected is applied, alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROTECTED_BY = {"deletion_protection": True, "force_destroy": False, "delete_contents_on_destroy": False}
"""Arguments, and their values that keep a resource from being deleted."""
SHOW_SECONDS = 300.0


@dataclass(frozen=True)
class Protected:
    """What stands in the way of a destroy."""

    addresses: tuple[str, ...]
    release: str | None
    """Which release's jobs and functions are there: applied again, they must stay what they are."""


def protected(state: Mapping[str, Any]) -> Protected:
    """What a state, as `terraform show -json` prints it, says is protected."""
    resources = state.get("values", {}).get("root_module", {}).get("resources", [])
    managed = [one for one in resources if one["mode"] == "managed"]
    addresses = [one["address"] for one in managed if _is_protected(one["values"])]
    return Protected(tuple(addresses), next(_releases(managed), None))


def _is_protected(values: Mapping[str, Any]) -> bool:
    return any(values.get(argument) is value for argument, value in PROTECTED_BY.items())


def _releases(resources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in resources:
        if one["type"] == "google_cloud_run_v2_job":
            image: str = one["values"]["template"][0]["template"][0]["containers"][0]["image"]
            yield image.rpartition(":")[2]


def lift(module: Path, arguments: Sequence[str]) -> int:
    """Apply `arguments` to what is protected; the exit status of terraform."""
    terraform = ("terraform", f"-chdir={module}")
    shown = subprocess.run((*terraform, "show", "-json"), stdout=subprocess.PIPE, timeout=SHOW_SECONDS)
    if shown.returncode != 0:
        return shown.returncode
    found = protected(json.loads(shown.stdout))
    if not found.addresses:
        print("Nothing is protected.")
        return 0
    targets = [f"-target={address}" for address in found.addresses]
    release = [] if found.release is None else [f"-var=release={found.release}"]
    return subprocess.run((*terraform, "apply", "-auto-approve", *targets, *arguments, *release)).returncode


if __name__ == "__main__":
    sys.exit(lift(Path(sys.argv[1]), sys.argv[2:]))
