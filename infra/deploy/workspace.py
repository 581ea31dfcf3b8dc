"""Terraform's folder for one deployment: the configuration, and what makes a root module of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from infra.terraform_offline.terraform import NEEDED, ROOT

ROOT_MODULE = Path(__file__).parent / "root.tf"
KEPT = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "examples", "tests")


def module_of(folder: Path) -> Path:
    """Where terraform runs in the workspace at `folder`."""
    return folder / "terraform"


def write(folder: Path) -> None:
    """Put this checkout's configuration into `folder`; providers and lock file that lie there stay."""
    module = module_of(folder)
    for stale in module.glob("*.tf"):
        stale.unlink()
    for part in NEEDED:
        shutil.copytree(ROOT / part, folder / part, ignore=KEPT, dirs_exist_ok=True)
    shutil.copy(ROOT_MODULE, module / ROOT_MODULE.name)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
