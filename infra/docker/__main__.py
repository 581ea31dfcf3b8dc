"""`python -m infra.docker lock | check | sizes`: the images' requirements, resolved, compared, weighed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from infra.docker.locks import problems, write
from infra.docker.requirement_sets import Part
from infra.docker.resolving import OutOfReach, Unresolvable, Wheel, resolve
from infra.docker.sizes import table

Resolved = Mapping[Part, list[Wheel]]


def lock(resolved: Resolved) -> int:
    """Write the files that the images install from."""
    for part, wheels in resolved.items():
        if part.lock:
            write(part, wheels)
            print(f"{part.lock.name}: {len(wheels)} wheels")
    return 0


def check(resolved: Resolved) -> int:
    """Say where the locks and what resolves today differ."""
    found = [problem for part, wheels in resolved.items() for problem in problems(part, wheels)]
    for part, wheels in resolved.items():
        print(f"{part}: {len(wheels)} wheels, nothing to compile")
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


def sizes(resolved: Resolved) -> int:
    """Print what each part weighs."""
    print(table(resolved))
    return 0


COMMANDS: dict[str, Callable[[Resolved], int]] = {"lock": lock, "check": check, "sizes": sizes}


def main() -> int:
    """Resolve every part against the package index, then do what is asked."""
    parser = argparse.ArgumentParser(prog="python -m infra.docker", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    try:
        with ThreadPoolExecutor() as pool:
            resolved = dict(zip(Part, pool.map(resolve, Part), strict=True))
    except OutOfReach as error:
        print(f"SKIPPED: the package index cannot be reached.\n{error}", file=sys.stderr)
        return 0 if command is check else 1
    except Unresolvable as error:
        print(error, file=sys.stderr)
        return 1
    return command(resolved)


if __name__ == "__main__":
    sys.exit(main())
