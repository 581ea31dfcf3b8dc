"""Run Silero's network: the probability of speech in each frame of 32 ms, for a whole window in one call.

The weights are those of the `silero-vad` package. Its Python code is not imported, because that limits the whole
process to one torch thread; and it sees one frame at a time, where here all frames of a window go through the
convolutions together and through the recurrent layer in one call: the same probabilities, several times as fast.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gpu_job.audio.samples import Samples
from gpu_job.vad.segments import FRAME

_CONTEXT = 64
"""Samples of the frame before that the network sees with each frame."""

_BINS = 129
"""Frequencies of its spectrum."""

_FRAMES_AT_ONCE = 1024
"""33 s; bounds the memory of the convolutions to about 10 MB."""


def load() -> Silero:
    """The network with the shipped weights, ready to be called from any thread."""
    network = Silero()
    network.load_state_dict(_weights(model_path()))
    return network.eval().requires_grad_(False)


def model_path() -> Path:
    """The network that the `silero-vad` package ships, found without importing the package."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The package silero-vad is not installed.", name="silero_vad")
    return Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"


def _weights(path: Path) -> dict[str, Tensor]:
    """The 16 kHz half of the shipped network, under the names used here."""
    shipped = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]  # torch's gap
    names = {
        "spectrum.weight": "stft.forward_basis_buffer",
        "output.weight": "decoder.decoder.2.weight",
        "output.bias": "decoder.decoder.2.bias",
        **{f"encoder.{n}.{kind}": f"encoder.{n}.reparam_conv.{kind}" for n in range(4) for kind in ("weight", "bias")},
        **{f"memory.{kind}_l0": f"decoder.rnn.{kind}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    }
    return {ours: shipped[f"_model.{theirs}"] for ours, theirs in names.items()}


class Silero(torch.nn.Module):
    """Silero VAD 6 at 16 kHz: spectrum, four convolutions, one recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = torch.nn.Conv1d(1, 2 * _BINS, 256, stride=128, bias=False)
        self.encoder = torch.nn.ModuleList(
            [
                torch.nn.Conv1d(_BINS, 128, 3, padding=1),
                torch.nn.Conv1d(128, 64, 3, stride=2, padding=1),
                torch.nn.Conv1d(64, 64, 3, stride=2, padding=1),
                torch.nn.Conv1d(64, 128, 3, padding=1),
            ]
        )
        self.memory = torch.nn.LSTM(128, 128)
        self.output = torch.nn.Conv1d(128, 1, 1)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Samples, at least one -> [frames], on the calling thread."""
        with torch.inference_mode():
            answer: NDArray[np.float32] = self(torch.from_numpy(samples)).numpy()
        return answer

    def forward(self, samples: Tensor) -> Tensor:
        """[T] samples -> [frames] probabilities."""
        padded = functional.pad(samples, (_CONTEXT, -len(samples) % FRAME))
        frames = padded.unfold(0, _CONTEXT + FRAME, FRAME)
        features = torch.cat([self._features(block) for block in torch.split(frames, _FRAMES_AT_ONCE)])
        remembered, _ = self.memory(features)
        return torch.sigmoid(self.output(remembered.relu().unsqueeze(-1))).flatten()

    def _features(self, frames: Tensor) -> Tensor:
        """[frames, samples] -> [frames, 128]."""
        parts = self.spectrum(functional.pad(frames.unsqueeze(1), (0, _CONTEXT), mode="reflect"))
        features: Tensor = (parts[:, :_BINS] ** 2 + parts[:, _BINS:] ** 2).sqrt()
        for convolution in self.encoder:
            features = convolution(features).relu()
        return features.squeeze(-1)
