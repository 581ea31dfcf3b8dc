"""The order of what is asked of CUDA's streams around a batch, noted by stand-ins for them: there is no GPU here."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from gpu_job.asr import gpu_faults
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.audio.chunker import Chunk


class Calls(list[str]):
    """What was asked of streams and events, one after the other."""


class Event:
    def __init__(self, calls: Calls, name: str) -> None:
        self._calls, self.name = calls, name

    def synchronize(self) -> None:
        self._calls.append(f"the process waits for {self.name}")


class Stream:
    def __init__(self, calls: Calls, name: str) -> None:
        self._calls, self.name = calls, name
        self._events = 0

    def record_event(self, event: object = None) -> Event:
        self._events += 1
        found = Event(self._calls, f"{self.name} {self._events}")
        self._calls.append(f"recorded {found.name}")
        return found

    def wait_event(self, event: Event) -> None:
        self._calls.append(f"{self.name} waits for {event.name}")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    ours = Stream(calls, "model")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: ours)
    monkeypatch.setattr(torch.cuda, "Event", lambda blocking: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 0)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    return calls


@pytest.fixture
def on_streams(parakeet: Parakeet, calls: Calls, short_chunks: list[Chunk]) -> Any:
    """A recognizer with a stream for copies, and a batch whose copies are under way."""
    changed = copy.copy(parakeet)
    prepared = changed.prepare([short_chunks[0].samples])
    copies = Stream(calls, "copies")
    changed.copies = copies  # type: ignore[assignment]
    preprocessor, encoder = changed.model.preprocessor, changed.model.encoder

    def noted(name: str, module: Any) -> Any:
        def call(**arguments: Any) -> Any:
            calls.append(name)
            return module(**arguments)

        return call

    model = copy.copy(changed.model)
    model.__dict__["preprocessor"] = noted("preprocessor", preprocessor)
    model.__dict__["encoder"] = noted("encoder", encoder)
    changed.model = model
    return changed, replace(prepared, copied=Event(calls, "copy"))  # type: ignore[arg-type]


def test_samples_are_waited_for_and_their_memory_goes_once_they_are_read(on_streams: Any, calls: Calls) -> None:
    recognizer, prepared = on_streams
    recognizer.finish(recognizer.run(prepared))
    assert calls == [
        "model waits for copy",
        "preprocessor",
        "recorded model 1",
        "copies waits for model 1",
        "encoder",
        "recorded model 2",
        "the process waits for model 2",
    ]


def test_what_the_gpu_writes_to_is_kept_until_it_has_written(on_streams: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer, prepared = on_streams
    output = recognizer.run(prepared)
    assert list(gpu_faults.awaited.values()) == [output]

    def lost(event: Event) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with monkeypatch.context() as patch:
        patch.setattr(Event, "synchronize", lost)
        with pytest.raises(RuntimeError):
            recognizer.finish(output)
    assert list(gpu_faults.awaited.values()) == [output]
    recognizer.finish(output)
    assert not gpu_faults.awaited
