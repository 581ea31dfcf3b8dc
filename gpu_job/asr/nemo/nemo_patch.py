"""Three corrections to NeMo 3.0.0: word ends do not depend on a chunk's batch companions, nothing waits for the GPU,
and captured graphs keep their memory (`graph_memory`).

In the inner loop of `GreedyBatchedTDTLabelLoopingComputer.torch_impl` the line
`durations = model_durations[jump_durations_indices]` replaces the duration of every row, also of rows whose label was
found already. Texts and word starts are right, the stored durations, and with them word ends, are not. The decoder
with CUDA graphs does not have the fault.

`normalize_batch` asks in every batch whether a chunk has one frame only, and the answer is fetched from the GPU: until
all that was launched before is done, nothing more is launched. No chunk here is that short (`parakeet.MIN_SAMPLES`).
"""

from __future__ import annotations

import inspect
import textwrap
from types import ModuleType

from gpu_job.asr.nemo.graph_memory import with_own_memory
from shared.errors import EngineFailed, FailureKind

LOOP = "while advance_mask.any():"
WRONG = "durations = model_durations[jump_durations_indices]"
WAITS = "and torch.any(seq_len == 1).item()"
DOES_NOT_WAIT = "and False"
RIGHT = "durations = torch.where(advance_mask, model_durations[jump_durations_indices], durations)"


class NemoChanged(EngineFailed):
    """NeMo's source is not the one this correction was written for: it must be read again before it is trusted."""

    kind = FailureKind.MODEL_LOAD


def corrected(source: str) -> str:
    """The source of `torch_impl` with the line mended. Raises NemoChanged unless it stands there exactly once."""
    head, loop, tail = source.partition(LOOP)
    if not loop or tail.count(WRONG) != 1 or LOOP in tail:
        raise NemoChanged("NeMo's TDT decoder changed; gpu_job/asr/nemo/nemo_patch.py must be reviewed.")
    return head + loop + tail.replace(WRONG, RIGHT)


def without_wait(source: str) -> str:
    """The source of `normalize_batch` without the question. Raises NemoChanged unless it stands there exactly once."""
    if source.count(WAITS) != 1:
        raise NemoChanged("NeMo's normalize_batch changed; gpu_job/asr/nemo/nemo_patch.py must be reviewed.")
    return source.replace(WAITS, DOES_NOT_WAIT)


def apply() -> None:
    """Mend decoder, its graphs and the preprocessor of this process; without effect the second time."""
    from nemo.collections.asr.parts.preprocessing import features
    from nemo.collections.asr.parts.submodules.transducer_decoding import tdt_label_looping

    if not getattr(features.normalize_batch, "corrected", False):
        source = without_wait(inspect.getsource(features.normalize_batch))
        features.normalize_batch = _compiled(source, features, "normalize_batch")
        features.normalize_batch.corrected = True
    computer = tdt_label_looping.GreedyBatchedTDTLabelLoopingComputer
    if getattr(computer.torch_impl, "corrected", False):
        return
    computer.torch_impl = _compiled(
        corrected(textwrap.dedent(inspect.getsource(computer.torch_impl))), tdt_label_looping, "torch_impl"
    )
    computer.torch_impl.corrected = True
    computer._full_graph_compile = with_own_memory(computer._full_graph_compile)


def _compiled(source: str, module: ModuleType, name: str) -> object:
    names: dict[str, object] = {}
    exec(compile(source, str(module.__file__), "exec"), vars(module), names)  # noqa: S102  (NeMo's own source, mended)
    return names[name]
