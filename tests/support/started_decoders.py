"""Other decoders than the product starts, and those that it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gpu_job.audio.decoder.records import DecodingRequest
from gpu_job.audio.decoder_process import child
from gpu_job.audio.decoder_process.start import DecoderLimits, DecoderProcess, command, start_command


def start_other(
    monkeypatch: pytest.MonkeyPatch, command_of: Callable[[DecodingRequest], Sequence[str]] = command
) -> None:
    """Instead of each decoder the program of that command line; by default a decoder that is not forked."""
    monkeypatch.setattr(child, "start", lambda request, limits: start_command(command_of(request), limits))


def started(monkeypatch: pytest.MonkeyPatch) -> list[DecoderProcess]:
    """Every decoder that is started from now on, as it is started."""
    processes: list[DecoderProcess] = []
    real = child.start

    def start(request: DecodingRequest, limits: DecoderLimits) -> DecoderProcess:
        processes.append(real(request, limits))
        return processes[-1]

    monkeypatch.setattr(child, "start", start)
    return processes
