"""The exact Token-and-Duration Transducer loss (arXiv 2304.06795) on the CPU, with analytic gradients.

NeMo 3.0.0 cannot train TDT without a GPU: its `tdt` loss raises, its `tdt_pytorch` calls `.cuda()`. This one agrees
with the latter to 1e-6.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit, prange
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Counts = NDArray[np.int64]

_LOG_ZERO = -1e30


@njit(inline="always")
def _log_add(first: float, second: float) -> float:
    if first < second:
        first, second = second, first
    return first if second <= _LOG_ZERO else first + math.log1p(math.exp(second - first))


@njit(cache=True)
def _forward_scores(
    blank: Scores, label: Scores, duration: Scores, durations: Counts, frames: int, states: int
) -> tuple[NDArray[np.float64], float]:
    """Log-probability of every way to lattice node (frame, labels emitted); and of all ways to the end."""
    alpha = np.full((frames, states), _LOG_ZERO)
    alpha[0, 0] = 0.0
    for t in range(frames):
        for u in range(states):
            score = alpha[t, u]
            for n in range(len(durations)):
                source = t - durations[n]
                if source < 0:
                    continue
                # A blank must advance, or decoding would never end; a label may stay on its frame.
                if durations[n] > 0:
                    score = _log_add(score, alpha[source, u] + blank[source, u] + duration[source, u, n])
                if u > 0:
                    score = _log_add(score, alpha[source, u - 1] + label[source, u - 1] + duration[source, u - 1, n])
            alpha[t, u] = score
    total = _LOG_ZERO
    for n in range(len(durations)):
        source = frames - durations[n]
        if durations[n] > 0 and source >= 0:
            total = _log_add(
                total, alpha[source, states - 1] + blank[source, states - 1] + duration[source, states - 1, n]
            )
    return alpha, total


@njit(parallel=True, cache=True)
def _loss_and_gradients(
    blank: Scores,
    label: Scores,
    duration: Scores,
    durations: Counts,
    frame_counts: Counts,
    label_counts: Counts,
    losses: Scores,
    blank_grad: Scores,
    label_grad: Scores,
    duration_grad: Scores,
) -> None:
    """Fill `losses` and the gradients of the loss with respect to the three sets of log-probabilities."""
    for b in prange(blank.shape[0]):
        frames, states = frame_counts[b], label_counts[b] + 1
        alpha, total = _forward_scores(blank[b], label[b], duration[b], durations, frames, states)
        losses[b] = -total
        beta = np.full((frames, states), _LOG_ZERO)
        for t in range(frames - 1, -1, -1):
            for u in range(states - 1, -1, -1):
                score = _LOG_ZERO
                for n in range(len(durations)):
                    target = t + durations[n]
                    way = _LOG_ZERO
                    if durations[n] > 0 and target < frames:
                        way = blank[b, t, u] + duration[b, t, u, n] + beta[target, u]
                    elif durations[n] > 0 and target == frames and u == states - 1:
                        way = blank[b, t, u] + duration[b, t, u, n]
                    if way > _LOG_ZERO:
                        score = _log_add(score, way)
                        occupancy = math.exp(min(alpha[t, u] + way - total, 0.0))
                        blank_grad[b, t, u] -= occupancy
                        duration_grad[b, t, u, n] -= occupancy
                    if u < states - 1 and target < frames:
                        way = label[b, t, u] + duration[b, t, u, n] + beta[target, u + 1]
                        if way > _LOG_ZERO:
                            score = _log_add(score, way)
                            occupancy = math.exp(min(alpha[t, u] + way - total, 0.0))
                            label_grad[b, t, u] -= occupancy
                            duration_grad[b, t, u, n] -= occupancy
                beta[t, u] = score


class _TdtFunction(torch.autograd.Function):
    """The loss of joint logits, softmax included: its gradient needs one tensor of the logits' size instead of five."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        targets: torch.Tensor,
        frame_counts: torch.Tensor,
        label_counts: torch.Tensor,
        settings: "_Settings",
    ) -> torch.Tensor:
        tokens, duration = _split(logits, settings)
        norm = tokens.logsumexp(-1)
        label = tokens.gather(-1, targets).squeeze(-1) - norm - settings.sigma
        blank = tokens[..., settings.blank] - norm - settings.sigma
        scores = [np.ascontiguousarray(tensor.numpy()) for tensor in (blank, label, duration.log_softmax(-1))]
        gradients = [np.zeros(score.shape, np.float32) for score in scores]
        losses = np.zeros(logits.shape[0], np.float32)
        durations = np.array(settings.durations, np.int64)
        counts = frame_counts.numpy(), label_counts.numpy()
        _loss_and_gradients(*scores, durations, *counts, losses, *gradients)  # type: ignore[call-arg]  # a numba dispatcher
        ctx.settings = settings
        ctx.save_for_backward(logits, norm, targets, *(torch.from_numpy(gradient) for gradient in gradients))
        return torch.from_numpy(losses)

    @staticmethod
    def backward(ctx: Any, *output_gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        logits, norm, targets, blank_grad, label_grad, duration_grad = ctx.saved_tensors
        tokens, duration = _split(logits, ctx.settings)
        # d log softmax(x)_k / dx = onehot(k) - softmax(x), summed over the log-probabilities that the loss used.
        logits_grad = torch.empty_like(logits)
        tokens_grad, durations_grad = _split(logits_grad, ctx.settings)
        torch.sub(tokens, norm.unsqueeze(-1), out=tokens_grad)
        tokens_grad.exp_().mul_(-(blank_grad + label_grad).unsqueeze(-1))
        tokens_grad[..., ctx.settings.blank] += blank_grad
        tokens_grad.scatter_add_(-1, targets, label_grad.unsqueeze(-1))
        durations_grad.copy_(duration_grad - duration.softmax(-1) * duration_grad.sum(-1, keepdim=True))
        logits_grad.mul_(output_gradients[0].view(-1, 1, 1, 1))
        return logits_grad, None, None, None, None


@dataclass(frozen=True)
class _Settings:
    blank: int
    durations: tuple[int, ...]
    sigma: float


def _split(logits: torch.Tensor, settings: _Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of tokens and of durations."""
    return logits[..., : -len(settings.durations)], logits[..., -len(settings.durations) :]


class TdtLoss(torch.nn.Module):
    """The loss of every example of a batch, not reduced."""

    def __init__(self, blank: int, durations: Sequence[int], sigma: float) -> None:
        super().__init__()
        self._settings = _Settings(blank, tuple(durations), sigma)

    def forward(
        self, logits: torch.Tensor, labels: torch.Tensor, frame_counts: torch.Tensor, label_counts: torch.Tensor
    ) -> torch.Tensor:
        """[batch] losses in nats of joint logits [batch, frames, labels + 1, pieces + blank + durations]."""
        states = logits.shape[2]
        targets = torch.nn.functional.pad(labels.long(), (0, states - labels.shape[1]))
        targets = targets[:, None, :, None].expand(*logits.shape[:3], 1)
        losses: torch.Tensor = _TdtFunction.apply(  # type: ignore[no-untyped-call]  # torch does not annotate apply
            logits, targets, frame_counts.long(), label_counts.long(), self._settings
        )
        return losses
