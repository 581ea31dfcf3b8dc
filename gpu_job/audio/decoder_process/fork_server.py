"""Fork decoders: `python -m gpu_job.audio.decoder_process.fork_server SOCKET`, with a socket's descriptor.

A decoder that is started anew takes longer to import PyAV than to decode a voice message. This process imports it once
and copies itself for each message, a number, which comes with three pipes: for the request, the records and the
complaints. It answers with the copy's process id, and so does the copy: who asks knows of it whichever of them is
killed. It reads no request and opens no upload, so that no decoder finds anything of another's here; each copy
restricts itself before it opens its own (`gpu_job/audio/decoder/sandbox.py`).

A copy is a child of the process that asked (CLONE_PARENT), which limits, kills and reaps it as one that it started.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Sequence

CLONE_PARENT = 0x00008000
"""From linux/sched.h: the new process is a sibling of the one that calls."""

_CLONE = {"x86_64": 56, "aarch64": 220}
"""The call's number by architecture."""

IDLE_SECONDS = 60.0
"""Without a message for so long, this process ends; the next decoder has another one started."""

MESSAGE = struct.Struct("<q")

ANSWER = struct.Struct("<qq")
"""The message's number, and the new process's id, -1 where there is none."""

PIPES = 3


def can_fork_siblings() -> bool:
    """Whether this system has what `serve`, and who asks it, need."""
    return sys.platform == "linux" and platform.machine() in _CLONE and hasattr(os, "pidfd_open")


def serve(requests: socket.socket) -> Sequence[int] | None:
    """Fork for each message until there will be none, then None; in each copy, its pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, to all of its processes: who asks ends this one
    requests.settimeout(IDLE_SECONDS)
    # What is imported is in no copy's way: neither traversed nor, thereby, written to and copied.
    gc.collect()
    gc.freeze()
    while True:
        try:
            message, pipes, _, _ = socket.recv_fds(requests, MESSAGE.size, PIPES)
        except (TimeoutError, ConnectionError):
            return None
        if not message:
            return None
        pid = fork_sibling()
        requests.send(ANSWER.pack(*MESSAGE.unpack(message), pid or os.getpid()))
        if pid == 0:
            requests.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return pipes
        for pipe in pipes:
            os.close(pipe)


def fork_sibling() -> int:
    """As `os.fork`, but the new process is a child of this one's parent. For a process with one thread.

    The answer is -1 where the kernel refuses.
    """
    python = ctypes.pythonapi
    call = ctypes.PyDLL(None).syscall  # with the interpreter's lock held, as `os.fork` does
    call.argtypes, call.restype = [ctypes.c_long] * 6, ctypes.c_long
    python.PyOS_BeforeFork()
    pid = int(call(_CLONE[platform.machine()], CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def take_over(pipes: Sequence[int]) -> str:
    """The pipes as standard streams; the answer is the request."""
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    with open(0, "rb", closefd=False) as asked:
        return asked.read().decode()


if __name__ == "__main__":
    from gpu_job.audio.decoder.__main__ import main as decode  # who asks imports this module, too, and not PyAV

    with socket.socket(fileno=int(sys.argv[1])) as listening:
        given = serve(listening)
    if given is not None:
        status = decode(take_over(given))
        sys.stdout.flush()
        os._exit(status)
