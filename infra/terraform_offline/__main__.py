"""`make terraform`: Terraform's format, validation and tests, and the environments it gives, offline."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from infra.terraform_offline.environments import problems
from infra.terraform_offline.provider import schema_provider
from infra.terraform_offline.terraform import SKIPPED, Workspace, find_terraform


def main() -> int:
    """Run the checks; the exit status says whether all passed."""
    binary = find_terraform()
    if binary is None:
        print(SKIPPED)
        return 0
    with schema_provider() as provider, tempfile.TemporaryDirectory(prefix="terraform-") as folder:
        workspace = Workspace(binary, Path(folder), provider)
        for done in workspace.checks():
            print(f"{'ok    ' if done.ok else 'FAILED'}  {done.command}")
            if not done.ok:
                print(done.output, file=sys.stderr)
                return 1
        found = problems(workspace)
        print(f"{'FAILED' if found else 'ok    '}  environment of functions and jobs, against their settings")
        print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
