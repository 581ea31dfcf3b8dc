"""The encoder's layers as they are exported: NeMo's sums in operations that are cheap on ONNX Runtime.

Valid frames come out as NeMo's, up to the order of fp32 additions. Frames behind a chunk's end, which nothing reads,
may differ.
"""

from __future__ import annotations

from typing import Any

import torch
from nemo.collections.asr.modules import ConformerEncoder
from nemo.collections.asr.parts.submodules.causal_convs import CausalConv2D
from nemo.collections.asr.parts.submodules.conformer_modules import ConformerConvolution, ConformerLayer
from nemo.collections.asr.parts.submodules.multi_head_attention import INF_VAL, RelPositionMultiHeadAttention
from nemo.collections.asr.parts.submodules.subsampling import MaskedConvSequential
from torch import Tensor, nn
from torch.nn.utils import fusion


def simplify(encoder: ConformerEncoder) -> None:
    """Replace, in place, the modules of an encoder in evaluation mode that have a cheaper form here."""
    subsampling: Any = getattr(encoder.pre_encode, "conv", None)
    if _Subsampling.takes(subsampling):
        encoder.pre_encode.conv = _Subsampling(*subsampling)
    for layer in encoder.layers:
        _simplify_layer(layer)


def _simplify_layer(layer: ConformerLayer) -> None:
    with torch.no_grad():
        for feed_forward in (layer.feed_forward1, layer.feed_forward2):
            for parameter in feed_forward.linear2.parameters():
                parameter *= layer.fc_factor
    layer.fc_factor = 1.0
    if type(layer.self_attn) is RelPositionMultiHeadAttention:
        layer.self_attn = _Attention(layer.self_attn)
    if _Convolution.takes(layer.conv):
        layer.conv = _Convolution(layer.conv)


class _Subsampling(nn.Sequential):
    """Zeroes what lies behind a chunk's end only where a convolution would carry it into the chunk.

    NeMo does it before every layer, with a mask as large as all channels.
    """

    @staticmethod
    def takes(theirs: object) -> bool:
        """Whether the module has no convolutions of NeMo's own, which look at other frames."""
        return isinstance(theirs, MaskedConvSequential) and not any(isinstance(x, CausalConv2D) for x in theirs)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # as NeMo's
        """[chunks, frames, bands] and how many frames count -> [chunks, channels, frames, bands], and frames."""
        x = x.unsqueeze(1)
        for layer in self:
            if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1):
                x = _zero_behind(x, lengths)
            x = layer(x)
            if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
                padding = int(layer.padding[0])
                lengths = (lengths + 2 * padding - layer.kernel_size[0]) // layer.stride[0] + 1
        return _zero_behind(x, lengths), lengths


class _Convolution(nn.Module):
    """Pointwise convolutions as matrices over [chunks, frames, channels], which are quantized as all others are."""

    @staticmethod
    def takes(theirs: ConformerConvolution) -> bool:
        """Whether the module is of the kind that published Parakeet models have."""
        depthwise = theirs.depthwise_conv
        return bool(
            theirs.norm_type == "batch_norm"
            and theirs.pointwise_activation == "glu_"
            and depthwise._left_padding == depthwise._right_padding  # no public name
        )

    def __init__(self, theirs: ConformerConvolution) -> None:
        super().__init__()
        expand = theirs.pointwise_conv1
        width = expand.out_channels // 2
        # Two matrices: the halves of one product would have to be copied out of it.
        self.values = _linear(expand, slice(None, width))
        self.gates = _linear(expand, slice(width, None))
        depthwise = fusion.fuse_conv_bn_eval(theirs.depthwise_conv, theirs.batch_norm)
        self.weight, self.bias = depthwise.weight, depthwise.bias
        self.padding = theirs.depthwise_conv._left_padding
        self.activation = theirs.activation
        self.out = _linear(theirs.pointwise_conv2, slice(None))

    def forward(self, x: Tensor, pad_mask: Tensor | None = None, cache: None = None) -> Tensor:
        """[chunks, frames, width] -> the same. `pad_mask` [chunks, frames]: True behind a chunk's end."""
        x = self.values(x) * torch.sigmoid(self.gates(x))
        if pad_mask is not None:
            x = x * (~pad_mask).unsqueeze(2).to(x.dtype)
        x = nn.functional.conv1d(
            x.transpose(1, 2), self.weight, self.bias, padding=self.padding, groups=len(self.weight)
        )
        return self.out(self.activation(x).transpose(1, 2))  # type: ignore[no-any-return]  # a module's call


class _Attention(nn.Module):
    """Attention over relative positions: scores come out scaled and shifted, and the mask is one addition."""

    def __init__(self, theirs: RelPositionMultiHeadAttention) -> None:
        super().__init__()
        self.heads, self.head_width = theirs.h, theirs.d_k
        self.q, self.k, self.v = theirs.linear_q, theirs.linear_k, theirs.linear_v
        self.position, self.out = theirs.linear_pos, theirs.linear_out
        with torch.no_grad():
            for parameter in self.q.parameters():
                parameter /= theirs.s_d_k
            self.content_bias = nn.Parameter(theirs.pos_bias_u / theirs.s_d_k)
            self.position_bias = nn.Parameter(theirs.pos_bias_v / theirs.s_d_k)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, pos_emb: Tensor, cache: None = None
    ) -> Tensor:
        """Chunks [chunks, frames, width] -> the same.

        `mask` [chunks, frames, frames]: True where the second may not be seen from the first. `pos_emb` [1,
        2 * frames - 1, width]: of the distances from the largest to the smallest.
        """
        chunks, frames = query.shape[:2]
        q = self._heads(self.q(query))
        by_content = (q + self.content_bias).transpose(1, 2) @ self._heads(self.k(key)).permute(0, 2, 3, 1)
        # With one more column than distances, a row further down is also a column further to the left when the rows
        # are read as being shorter by one; the result begins in column frames - 1.
        distances = self._heads(self.position(nn.functional.pad(pos_emb, (0, 0, 0, 1))))
        by_position = (q + self.position_bias).transpose(1, 2) @ distances.permute(0, 2, 3, 1)
        shifted = by_position.reshape(chunks, self.heads, -1)[:, :, : frames * (2 * frames - 1)]
        shifted = shifted.reshape(chunks, self.heads, frames, 2 * frames - 1)[..., frames - 1 :]
        scores = by_content + shifted
        if mask is not None:
            scores = scores + mask.unsqueeze(1).to(scores.dtype) * -INF_VAL
        seen = torch.softmax(scores, dim=-1) @ self._heads(self.v(value)).transpose(1, 2)
        return self.out(seen.transpose(1, 2).reshape(chunks, frames, -1))  # type: ignore[no-any-return]  # as above

    def _heads(self, x: Tensor) -> Tensor:
        """-> [chunks, frames, heads, width of a head]."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_width)


def _linear(pointwise: nn.Conv1d, rows: slice) -> nn.Linear:
    """Some of the outputs of a convolution over one frame, as a matrix."""
    weight: Any = pointwise.weight[rows, :, 0]
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=pointwise.bias is not None)
    linear.weight = nn.Parameter(weight.detach().contiguous())
    if pointwise.bias is not None:
        linear.bias = nn.Parameter(pointwise.bias[rows].detach())
    return linear


def _zero_behind(x: Tensor, lengths: Tensor) -> Tensor:
    """[chunks, channels, frames, bands] with zeros behind each chunk's frames."""
    inside = torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1)
    return x * inside[:, None, :, None].to(x.dtype)
