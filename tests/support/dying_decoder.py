"""A decoder that crashes in the middle of a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def dying_command(command: Sequence[str], after_seconds: int) -> list[str]:
    """The command line of a process that passes on what that decoder says until so much mono audio came, then aborts.

    A record of a second of mono samples is 5 bytes of header and 64,000 of samples; the format comes before it.
    """
    script = f"import os, subprocess; p = subprocess.Popen({list(command)!r}, stdout=-1); r = p.stdout.read\n"
    script += "def copy():\n    h = r(5); n = int.from_bytes(h[1:], 'little'); d = h + r(n)\n"
    script += "    while d: d = d[os.write(1, d):]\n"
    script += f"for _ in range({after_seconds} + 1): copy()\np.kill(); p.wait(); os.abort()"
    return [sys.executable, "-c", script]
