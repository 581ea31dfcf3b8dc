"""Google's own Pub/Sub emulator, where this machine has it: what the laptop's server is compared with."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc

from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

STOP_SECONDS = 10.0
LOOK_SECONDS = 0.25


class EmulatorError(RuntimeError):
    """The emulator did not come up; the message holds what it wrote."""


@dataclass(frozen=True, slots=True)
class EmulatorInstall:
    """The files that the emulator runs from."""

    java: Path
    jar: Path


def find_emulator() -> EmulatorInstall | None:
    """The emulator of the Cloud SDK at $CLOUDSDK_ROOT or else around `gcloud`, to be run by the Java on the PATH."""
    java, gcloud, root = shutil.which("java"), shutil.which("gcloud"), os.environ.get("CLOUDSDK_ROOT")
    sdks = [Path(root)] if root else []
    if gcloud:
        sdks.append(Path(gcloud).resolve().parents[1])  # the command on the PATH is often a link into SDK/bin
    jars = [jar for sdk in sdks for jar in sorted(sdk.glob("platform/pubsub-emulator/lib/*.jar"))]
    return EmulatorInstall(Path(java), jars[0]) if java and jars else None


class PubSubEmulator:
    """Google's emulator as a process, on 127.0.0.1 and by default a free port; usable once.

    Raises OSError for a port that is taken.
    """

    def __init__(self, install: EmulatorInstall, port: int = 0) -> None:
        self._install = install
        self._port = _reserved_port(port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, for PUBSUB_EMULATOR_HOST."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return once the emulator answers; raises EmulatorError."""
        command = [str(self._install.java), "-jar", str(self._install.jar), "--host=127.0.0.1", f"--port={self._port}"]
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            if not _answers(self._process, self.address):
                self.stop()
                output.seek(0)
                raise EmulatorError(f"{self._install.jar} does not answer:\n{output.read().decode(errors='replace')}")

    def stop(self) -> None:
        """End the process; idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    """Wait until `process` serves gRPC on `address`; False when it ends or takes longer than PATIENCE."""
    until = time.monotonic() + PATIENCE
    with grpc.insecure_channel(address) as channel:
        ready = grpc.channel_ready_future(channel)
        while process.poll() is None and time.monotonic() < until:
            try:
                ready.result(timeout=LOOK_SECONDS)
            except grpc.FutureTimeoutError:
                continue
            return True
        ready.cancel()
    return False


def _reserved_port(port: int) -> int:
    """`port`, or a free one for 0, kept for about a minute for whoever asks for it by its number.

    The emulator cannot choose: given port 0, it does not tell which one it took. A connection that this side closes
    leaves its port in TIME_WAIT, and such a port the kernel neither hands out nor denies to a server.
    """
    with socket.create_server(("127.0.0.1", port)) as server:
        reserved: int = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", reserved)):
            accepted, _ = server.accept()
            accepted.close()
    return reserved
