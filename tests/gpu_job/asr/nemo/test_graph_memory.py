"""Memory of captured loops. Without CUDA: that torch's allocator is told the right things in the right order."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nemo.collections.asr.parts.submodules.transducer_decoding import tdt_label_looping

from gpu_job.asr.nemo import nemo_patch
from gpu_job.asr.nemo.graph_memory import with_own_memory

DEVICE = 3


class Graph:
    """Where torch's stands."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, object]]:
    """What the allocator is told: begin, end and release of a device's pool."""
    calls: list[tuple[str, int, object]] = []

    def call(name: str) -> Callable[[int, object], None]:
        return lambda device, pool: calls.append((name, device, pool))

    pools = iter(range(9))
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: ("pool", next(pools)))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: DEVICE)
    monkeypatch.setattr(torch._C, "_cuda_beginAllocateCurrentThreadToPool", call("begin"), raising=False)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", call("end"), raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", call("release"), raising=False)
    return calls


def test_memory_of_a_capture_is_the_graphs_until_the_graph_goes(asked: list[tuple[str, int, object]]) -> None:
    def capture(computer: Any) -> None:
        computer.full_graph = Graph()
        asked.append(("captured", 0, None))

    computer, first, second = SimpleNamespace(full_graph=None), ("pool", 0), ("pool", 1)
    with_own_memory(capture)(computer)
    assert asked == [("begin", DEVICE, first), ("captured", 0, None), ("end", DEVICE, first)]
    asked.clear()
    with_own_memory(capture)(computer)
    assert asked == [
        ("begin", DEVICE, second),
        ("release", DEVICE, first),
        ("captured", 0, None),
        ("end", DEVICE, second),
    ]
    computer.full_graph = None
    assert asked[-1] == ("release", DEVICE, second)


def test_memory_of_a_capture_that_fails_is_given_back(asked: list[tuple[str, int, object]]) -> None:
    def capture(computer: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        with_own_memory(capture)(SimpleNamespace(full_graph=Graph()))
    assert [name for name, *_ in asked] == ["begin", "end", "release"]


def test_nemos_captures_are_made_so_once() -> None:
    nemo_patch.apply()
    capture = tdt_label_looping.GreedyBatchedTDTLabelLoopingComputer._full_graph_compile
    nemo_patch.apply()
    assert tdt_label_looping.GreedyBatchedTDTLabelLoopingComputer._full_graph_compile is capture
    assert "_full_graph_compile" in capture.__wrapped__.__qualname__
    assert capture.__module__ == tdt_label_looping.__name__
    assert capture.__code__ is with_own_memory(capture).__code__
