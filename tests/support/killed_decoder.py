"""A decoder that somebody else kills, as the kernel does where memory has run out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_SCRIPT = """
import os, subprocess
child = subprocess.Popen({command!r}, stdout=-1)
data = child.stdout.read({after_bytes})
while data:
    data = data[os.write(1, data):]
child.kill()
child.wait()
os.kill(os.getpid(), {signal})
"""


def killed_command(command: Sequence[str], after_bytes: int, signal_number: int) -> list[str]:
    """The command line of a process that passes on so many bytes of that decoder's output, then dies by the signal."""
    script = _SCRIPT.format(command=list(command), after_bytes=after_bytes, signal=int(signal_number))
    return [sys.executable, "-c", script]
