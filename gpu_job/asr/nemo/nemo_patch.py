"""A correction to NeMo 3.0.0's batched TDT decoder, without which word ends depend on a chunk's batch companions.

In the inner loop of `GreedyBatchedTDTLabelLoopingComputer.torch_impl` the line
`durations = model_durations[jump_durations_indices]` replaces the duration of every row, also of rows whose label was
found already. Texts and word starts are right, the stored durations, and with them word ends, are not. The decoder
with CUDA graphs does not have the fault.
"""

from __future__ import annotations

import inspect
import textwrap
from types import ModuleType

from shared.errors import EngineFailed, FailureKind

LOOP = "while advance_mask.any():"
WRONG = "durations = model_durations[jump_durations_indices]"
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


def apply() -> None:
    """Mend the decoder of this process; without effect the second time."""
    from nemo.collections.asr.parts.submodules.transducer_decoding import tdt_label_looping

    computer = tdt_label_looping.GreedyBatchedTDTLabelLoopingComputer
    if getattr(computer.torch_impl, "corrected", False):
        return
    computer.torch_impl = _compiled(
        corrected(textwrap.dedent(inspect.getsource(computer.torch_impl))), tdt_label_looping
    )
    computer.torch_impl.corrected = True


def _compiled(source: str, module: ModuleType) -> object:
    names: dict[str, object] = {}
    exec(compile(source, str(module.__file__), "exec"), vars(module), names)  # noqa: S102  (NeMo's own source, mended)
    return names["torch_impl"]
