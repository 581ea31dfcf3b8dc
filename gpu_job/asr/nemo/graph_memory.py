"""Memory for what the loops of a captured graph compute: the graph's own, for as long as it lives.

torch gives a capture memory that nobody else gets, and knows a capture by its number. The bodies of NeMo's two loops
are captures of their own: torch tells its allocator so for conditional nodes that it makes by itself (CUDAGraph.cpp:
`create_child_allocate_filter`), NeMo cannot for its own. So logits and states of the loops stood in memory that counts
as free once the capture is over. It goes back to the driver with the next `empty_cache()`, which every capture begins
with, such as that of the decoder for key terms, and with every allocation that would else fail; and a replay writes
there all the same, into whatever has come to be there, or the context is lost.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

Capture = Callable[[Any], None]
"""NeMo's `_full_graph_compile`, of a computer."""


def with_own_memory(capture: Capture) -> Capture:
    """The same, where all that this thread allocates meanwhile is kept until the computer's graph goes."""

    @wraps(capture)
    def captured(computer: Any) -> None:
        # Not a `MemPool`: its destructor calls CUDA, and ends the process where CUDA is lost.
        pool = torch.cuda.graph_pool_handle()
        device = torch.cuda.current_device()
        torch._C._cuda_beginAllocateCurrentThreadToPool(device, pool)
        is_kept = False
        try:
            capture(computer)
            weakref.finalize(computer.full_graph, torch._C._cuda_releasePool, device, pool).atexit = False
            is_kept = True
        finally:
            torch._C._cuda_endAllocateToPool(device, pool)
            if not is_kept:
                torch._C._cuda_releasePool(device, pool)

    return captured
