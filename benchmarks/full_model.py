"""The full 0.6 B architecture with random weights: what takes time and memory like the published model, offline."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.models import EncDecRNNTBPEModel
from omegaconf import DictConfig, OmegaConf

from benchmarks.gpu.speech import speech, stretches
from gpu_job.asr.device import multiplies_bf16
from gpu_job.audio.samples import SAMPLE_RATE, Samples
from tools.tiny_parakeet.config import DURATIONS, FRAME_SECONDS, parakeet_config
from tools.tiny_parakeet.model import train_tokenizer

PIECES = 1024
PACE_SECONDS, PACE_STRETCHES = 20.0, 4
"""Speech on which the pace is set."""
PACE_TOLERANCE = 0.15
"""Tokens a second."""
FIRST_STEP, MOST_STEPS = 0.5, 16
"""Of the blank's bias; steps double until one goes too far, and are halved from then on."""
_SIZES = {
    "encoder": {"d_model": 1024, "n_layers": 24, "n_heads": 8, "subsampling_conv_channels": 256},
    "decoder": {"prednet": {"pred_hidden": 640}},
    "joint": {"jointnet": {"joint_hidden": 640, "encoder_hidden": 1024, "pred_hidden": 640}},
    "model_defaults": {"enc_hidden": 1024, "pred_hidden": 640, "joint_hidden": 640},
}
"""parakeet-tdt-0.6b-v2's dimensions, over the tiny model's configuration, which is Parakeet's key for key."""


def build_full_model(folder: Path, tokens_per_second: float | None = None) -> EncDecRNNTBPEModel:
    """The model on the CPU in fp32, in evaluation mode. Its tokenizer's files are written to the folder.

    `tokens_per_second`: the blank's bias is set so that about so many tokens come out of a second of speech; people
    make 3 to 4, at most 6 are possible. Without it the random weights decide.
    """
    torch.manual_seed(0)
    _train_tokenizer(folder)
    model = EncDecRNNTBPEModel(cfg=full_config(folder), trainer=None).eval()
    if tokens_per_second is not None:
        _set_pace(model, tokens_per_second)
        settle_pace(model, stretches(speech(), PACE_SECONDS, PACE_STRETCHES), tokens_per_second)
    return model


def full_config(tokenizer: Path) -> DictConfig:
    """The configuration around the tokenizer in a folder."""
    config = OmegaConf.merge(parakeet_config(tokenizer), _SIZES)
    assert isinstance(config, DictConfig)
    return config


def _train_tokenizer(folder: Path) -> None:
    """PIECES pieces of words that nobody says, in the three files NeMo expects."""
    dice = random.Random(0)
    syllables = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", "l", "n", "r", "s", "t")]
    words = ["".join(dice.choices(syllables, k=dice.randint(1, 3))) for _ in range(5000)]
    train_tokenizer(folder, [" ".join(dice.choices(words, k=12)) for _ in range(2000)], PIECES)


def babble(seconds: float, seed: int = 0) -> Samples:
    """Noise that comes and goes like syllables, on which the pace of tokens is set roughly."""
    count = int(seconds * SAMPLE_RATE)
    dice = np.random.default_rng(seed)
    level = np.repeat(dice.random(count // 2000 + 1, dtype=np.float32), 2000)[:count]
    sound: Samples = 0.1 * level * dice.standard_normal(count, dtype=np.float32)
    return sound


def _set_pace(model: EncDecRNNTBPEModel, tokens_per_second: float) -> None:
    """Every step advances two frames, and the blank wins in as many of them as leaves the wanted tokens.

    Random layers blur all frames into one; at a tenth of their strength the differences between frames survive.
    """
    steps_per_second = 1 / FRAME_SECONDS / 2
    sound = torch.from_numpy(np.stack([babble(5, seed) for seed in range(2)]))
    with torch.inference_mode():
        for layer in model.encoder.layers:
            for last in (
                layer.feed_forward1.linear2,
                layer.self_attn.linear_out,
                layer.conv.pointwise_conv2,
                layer.feed_forward2.linear2,
            ):
                last.weight *= 0.1
        features, frames = model.preprocessor(input_signal=sound, length=torch.full((2,), sound.shape[1]))
        encoded, _ = model.encoder(audio_signal=features, length=frames)
        frames = encoded.transpose(1, 2)
        projection = model.joint.enc
        spread, mean = torch.std_mean(projection(frames), dim=(0, 1))
        projection.weight /= spread[:, None]
        projection.bias.copy_((projection.bias - mean) / spread)
        model.joint.pred.weight *= 0.1  # or one token, once said, would repeat itself for ever
        said = torch.randint(PIECES, (1, 32), generator=torch.Generator().manual_seed(1))
        states, _ = model.decoder.predict(said, None, add_sos=True)
        bias = model.joint.joint_net[-1].bias
        bias[-len(DURATIONS) :] = torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0])
        logits = model.joint.joint(frames, states)[..., : PIECES + 1]
        ahead = logits[..., :PIECES].amax(-1) - logits[..., PIECES]
        bias[PIECES] += torch.quantile(ahead.flatten(), 1 - tokens_per_second / steps_per_second)


def settle_pace(model: Any, sounds: Sequence[Samples], tokens_per_second: float) -> list[float]:
    """Move the blank's bias until speech, really decoded, gives so many tokens a second; the rate after each step.

    In the precision in which engines compute here: rounding alone makes a token a second of difference. Set on noise in
    fp32 and against histories that nobody said, the pace of speech was 5.4 to 5.8 tokens a second instead of 4.
    """
    dtype = torch.bfloat16 if multiplies_bf16("cpu") else torch.float32
    parts = (model.encoder, model.decoder, model.joint)
    rates: list[float] = []
    with torch.inference_mode():
        for part in parts:
            part.to(dtype)
        signal = torch.from_numpy(np.stack(sounds))
        features, frames = model.preprocessor(input_signal=signal, length=torch.full((len(sounds),), signal.shape[1]))
        encoded, lengths = model.encoder(audio_signal=features.to(dtype), length=frames)
        bias, step, is_narrowing = model.joint.joint_net[-1].bias, FIRST_STEP, False
        blank = len(bias) - len(DURATIONS) - 1
        for _ in range(MOST_STEPS):
            heard = model.decoding.rnnt_decoder_predictions_tensor(encoded, lengths, return_hypotheses=True)
            rates.append(sum(len(one.y_sequence) for one in heard) * SAMPLE_RATE / signal.numel())
            if abs(rates[-1] - tokens_per_second) < PACE_TOLERANCE:
                break
            has_crossed = len(rates) > 1 and (rates[-1] > tokens_per_second) != (rates[-2] > tokens_per_second)
            is_narrowing = is_narrowing or has_crossed
            if len(rates) > 1:
                step = step / 2 if is_narrowing else step * 2
            bias[blank] += step if rates[-1] > tokens_per_second else -step
        for part in parts:
            part.float()
    return rates
