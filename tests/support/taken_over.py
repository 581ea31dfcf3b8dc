"""A decoder that an upload has taken over, and what it tries then.

`python -m tests.support.taken_over UPLOAD OTHER SIBLING`, or with a fork server's SOCKET alone, as one: the copies take
these three as their request, in JSON. `SIBLING`: the id of another process of the same worker.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu_job.audio.decoder.reading  # noqa: F401  # as a decoder has
from gpu_job.audio.decoder.sandbox import restrict
from gpu_job.audio.decoder_process.fork_server import serve, take_over


def report(upload: str, other: str, sibling: int) -> dict[str, Any]:
    """Which restrictions hold; of each attempt `done` or the error's name; what the descriptors in front of it are."""
    descriptors = [str(Path(f"/proc/self/fd/{number}").readlink()) for number in range(3)]
    open_now = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
    holds = restrict(upload)
    attempts: dict[str, Callable[[], object]] = {
        "read another upload": Path(other).read_bytes,
        "cut another upload": lambda: os.truncate(other, 0),
        "remove another upload": Path(other).unlink,
        "read the worker's keys": Path(f"/proc/{os.getppid()}/environ").read_bytes,
        "read a sibling's memory": lambda: os.open(f"/proc/{sibling}/mem", os.O_RDONLY),
        "read a sibling's request": lambda: os.open(f"/proc/{sibling}/fd/0", os.O_RDONLY),
        "read a system file": Path("/etc/passwd").read_bytes,
        "list a folder": lambda: list(Path("/").iterdir()),
        "write": Path(other + ".new").touch,
        "open a socket": socket.socket,
        "start a program": lambda: os.execv("/bin/true", ["true"]),
        "end the worker": lambda: os.kill(os.getppid(), 0),
        "end a sibling": lambda: os.kill(sibling, 0),
        "read its own upload": lambda: Path(upload).read_bytes(),
        "import": lambda: __import__("wave"),
    }
    done = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            done[name] = "done"
        except OSError as error:
            done[name] = type(error).__name__
    return {
        "files": holds.files,
        "calls": holds.calls,
        "done": done,
        "streams": [each.partition(":")[0] for each in descriptors],
        "others": sum(_is_open(number) for number in open_now if number > 2),
        "interruptible": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    }


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> dict[str, Any] | None:
    """None where a server ends."""
    if len(arguments) > 1:
        upload, other, sibling = arguments
        return report(upload, other, int(sibling))
    with socket.socket(fileno=int(arguments[0])) as listening:
        given = serve(listening)
    return None if given is None else report(*json.loads(take_over(given)))


if __name__ == "__main__":
    found = main(sys.argv[1:])
    if found is not None:
        sys.stdout.write(json.dumps(found))
        sys.stdout.flush()
        os._exit(0)
