"""A fork server that is killed behind each copy that it makes, before it says so.

`python -m tests.support.dying_fork_server SOCKET`, as `gpu_job.audio.decoder_process.fork_server`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from gpu_job.audio.decoder.__main__ import main as decode
from gpu_job.audio.decoder_process import fork_server

fork = fork_server.fork_sibling


def fork_and_die() -> int:
    """In the copy 0."""
    if (pid := fork()) != 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return pid


if __name__ == "__main__":
    fork_server.fork_sibling = fork_and_die
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        given = fork_server.serve(listening)
    if given is not None:
        status = decode(fork_server.take_over(given))
        sys.stdout.flush()
        os._exit(status)
