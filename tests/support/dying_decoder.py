"""A decoder that crashes in the middle of a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_SECOND_BYTES = 64_000
"""Of mono samples."""

_SCRIPT = """
import os, subprocess
child = subprocess.Popen({command!r}, stdout=-1)

def write(kind, data):
    left = kind + len(data).to_bytes(4, "little") + data
    while left:
        left = left[os.write(1, left):]

def die():
    child.kill()
    child.wait()
    os.abort()

seconds = {seconds}
while header := child.stdout.read(5):
    kind, data = header[:1], child.stdout.read(int.from_bytes(header[1:], "little"))
    if kind != b"S":
        write(kind, data)
        continue
    for at in range(0, len(data), {second_bytes}):
        if not seconds:
            die()
        seconds -= 1
        write(kind, data[at : at + {second_bytes}])
die()
"""


def dying_command(command: Sequence[str], after_seconds: int) -> list[str]:
    """The command line of a process that passes on what that decoder says until so much mono audio came, then aborts.

    Samples it passes on second by second: a record is 5 bytes of header, a kind and a length, and its data.
    """
    script = _SCRIPT.format(command=list(command), seconds=after_seconds, second_bytes=_SECOND_BYTES)
    return [sys.executable, "-c", script]
