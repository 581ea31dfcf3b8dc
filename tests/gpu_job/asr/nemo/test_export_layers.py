"""The layers that are exported compute what NeMo's do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from nemo.collections.asr.modules import ConformerEncoder

from gpu_job.asr.nemo.export_layers import simplify

BANDS = 32
FRAMES = (801, 800, 793, 205, 9, 1)
"""Mel frames of each chunk."""


def encoder(**kind: Any) -> ConformerEncoder:
    """A small one with Parakeet's layers but for `kind`, and with weights that matter everywhere."""
    torch.manual_seed(0)
    options = {
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": 16,
        "conv_kernel_size": 9,
        "conv_norm_type": "batch_norm",
        "use_bias": False,
        "xscaling": False,
    }
    made = ConformerEncoder(feat_in=BANDS, n_layers=2, d_model=48, n_heads=4, **{**options, **kind}).eval()
    with torch.no_grad():
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
            if name.endswith(("pos_bias_u", "pos_bias_v", "running_mean", "bias")):
                tensor.normal_()
    return made


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"use_bias": True},
        {"xscaling": True},
        {"untie_biases": False},
        {"att_context_size": [8, 4]},
        {"conv_norm_type": "layer_norm"},
        {"conv_context_size": "causal", "conv_norm_type": "layer_norm"},
        {"conv_context_size": "causal"},
        {"causal_downsampling": True},
        {"subsampling": "striding", "subsampling_factor": 4},
        {"self_attention_model": "abs_pos"},
        {"self_attention_model": "rel_pos_local_attn", "att_context_size": [8, 8]},
    ],
    ids=str,
)
def test_valid_frames_are_nemos(kind: dict[str, Any]) -> None:
    theirs = encoder(**kind)
    ours = copy.deepcopy(theirs)
    simplify(ours)
    features, lengths = torch.randn(len(FRAMES), BANDS, max(FRAMES)), torch.tensor(FRAMES)
    with torch.inference_mode():
        expected, count = theirs(audio_signal=features, length=lengths)
        found, ours_count = ours(audio_signal=features, length=lengths)
    assert torch.equal(ours_count, count)
    for row, frames in enumerate(count):
        torch.testing.assert_close(found[row, :, :frames], expected[row, :, :frames], rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.5
