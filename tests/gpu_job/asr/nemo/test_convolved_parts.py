"""NeMo takes large batches through its first convolutions in parts; the memory model knows in which."""

from __future__ import annotations

import pytest
import torch
from nemo.collections.asr.parts.submodules.subsampling import ConvSubsampling

from gpu_job.asr.memory import Architecture, Attention, MemoryModel
from gpu_job.audio.samples import SAMPLE_RATE


# 87 chunks of 30 s: 2,610 s. The limit is 2**31 / 256 channels * 4 / 128 mels / 100 frames a second = 2,621.4 s.
@pytest.mark.parametrize(("chunks", "parts"), [(87, [87]), (88, [44, 44]), (175, [43, 43, 43, 43, 3]), (1, [1])])
def test_batches_are_convolved_in_the_parts_that_nemo_makes(
    chunks: int, parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    convolutions = ConvSubsampling("dw_striding", 8, 128, 1024, 256).to("meta")
    features, lengths = torch.empty(chunks, 3000, 128, device="meta"), torch.full((chunks,), 3000)

    def convolve(x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the same shape, without computing anything."""
        seen.append(len(x))
        return torch.empty(len(x), 256, 375, 16, device="meta"), length

    monkeypatch.setattr(convolutions.conv, "forward", convolve)
    with torch.inference_mode():
        convolutions(features, lengths)

    assert seen == parts
    assert MemoryModel(Architecture(), 2, Attention.SDPA).convolved_at_once(chunks, 30 * SAMPLE_RATE) == parts[0]
