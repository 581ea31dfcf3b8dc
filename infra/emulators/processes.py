"""Child processes that take everything they started with them when they end, as a container does."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Process(Protocol):
    """What is asked of a started command: a part of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...


class ProcessGroup:
    """A running command, leader of its own process group, its output appended to `log`.

    It sees `env`, nothing of this process's environment, and looks for Python's modules in this project and where they
    are installed: not in the folder that `dropscribe run` is called in, which may hold anything. Raises OSError if the
    command cannot be started.
    """

    popen: Callable[..., Process] = subprocess.Popen
    """What starts the command, with the arguments of `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._leader = self.popen(
                command,
                env={**env, **_module_search(env)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the command, and of the group."""
        return self._leader.pid

    def poll(self) -> int | None:
        """The exit code (-N: ended by signal N), or None while the command runs."""
        exit_code = self._leader.poll()
        if exit_code is not None:
            self._kill_group()
        return exit_code

    def end(self, grace_seconds: float) -> int:
        """TERM to the command, KILL to the group once it has ended or `grace_seconds` are over; the exit code."""
        self._leader.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._leader.wait(grace_seconds)
        self._kill_group()
        return self._leader.wait()

    def _kill_group(self) -> None:
        # macOS answers EPERM, not ESRCH, for a group of which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._leader.pid, signal.SIGKILL)


_PROJECT = Path(__file__).parents[2]


def _module_search(env: Mapping[str, str]) -> dict[str, str]:
    paths = [str(_PROJECT), *filter(None, [env.get("PYTHONPATH")])]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(paths)}
