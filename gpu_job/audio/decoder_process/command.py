"""How a process of a module of this project is started, and what it sees of its parent's environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PASSED_VARIABLES = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE"})
PASSED_PREFIXES = ("PYTHON", "LC_", "LD_", "DYLD_")
"""Of the environment: what Python and its libraries are found by. The rest has keys, and leads to the cloud."""

_PROJECT = Path(__file__).parents[3]


def module_command(module: str, *arguments: str) -> list[str]:
    """Its command line. `-P`: the folder that `dropscribe run` is called in is not searched for modules."""
    return [sys.executable, "-B", "-s", "-P", "-m", module, *arguments]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a decoder gets to see of its worker's environment."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)
    }
    paths = [str(_PROJECT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}
