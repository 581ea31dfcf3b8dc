"""`python -m infra.docker lock | check | sizes`: what function and images install: resolved, compared, weighed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from infra.docker.locks import OutOfReach, Package, Part, Unresolvable, differences, resolve, write

Resolved = Mapping[Part, Sequence[Package]]

LARGEST = 8
"""Packages that are named."""


def lock(resolved: Resolved) -> int:
    """Write the files that are installed from."""
    for part, packages in resolved.items():
        write(part, packages)
        print(f"{part.lock.name}: {len(packages)} packages")
    return 0


def check(resolved: Resolved) -> int:
    """Say where the locks and what resolves today differ."""
    found = [each for part, packages in resolved.items() for each in differences(part, packages)]
    for part, packages in resolved.items():
        print(f"{part}: {len(packages)} packages, all of them wheels")
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


def sizes(resolved: Resolved) -> int:
    """Print what is downloaded for each part. A wheel whose size its index does not state counts nothing."""
    for part, packages in resolved.items():
        print(f"{part}: {len(packages)} wheels, {sum(package.size for package in packages) / 1e6:,.0f} MB to download")
        for package in sorted(packages, key=lambda package: package.size, reverse=True)[:LARGEST]:
            print(f"  {package.size / 1e6:7.1f} MB  {package.name} {package.version}")
    return 0


COMMANDS: dict[str, Callable[[Resolved], int]] = {"lock": lock, "check": check, "sizes": sizes}


def main() -> int:
    """Resolve every part against the package index, then do what is asked."""
    parser = argparse.ArgumentParser(prog="python -m infra.docker", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    try:
        resolved = {part: resolve(part) for part in Part}
    except OutOfReach as error:
        print(f"SKIPPED: the package index cannot be reached.\n{error}", file=sys.stderr)
        return 0 if command is check else 1
    except Unresolvable as error:
        print(error, file=sys.stderr)
        return 1
    return command(resolved)


if __name__ == "__main__":
    sys.exit(main())
