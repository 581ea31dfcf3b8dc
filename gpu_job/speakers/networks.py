"""The two networks, on ONNX Runtime: who of a window's people speaks in each frame, and what a voice sounds like.

`tools/speaker_networks/make_networks.py` makes their files: pyannote's segmentation 3.0 (MIT) and 3D-Speaker's CAM++
(Apache 2.0, `speaker_networks.LICENSE`).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gpu_job.audio.samples import SAMPLE_RATE, Samples
from gpu_job.onnx_sessions import open_session

if TYPE_CHECKING:
    import onnxruntime

SEGMENTATION_NETWORK = Path(__file__).with_name("segmentation.onnx")
EMBEDDING_NETWORK = Path(__file__).with_name("embedding.onnx")

WINDOW = 10 * SAMPLE_RATE
"""Samples that the segmentation hears at once; what it was trained on."""

FRAMES = 589
"""Its frames in a window."""

FRAME_SECONDS = 270 / SAMPLE_RATE
"""From one frame to the next: strides of 10, 3, 3 and 3 samples."""

FIRST_FRAME_SECONDS = 991 / 2 / SAMPLE_RATE
"""The middle of the first frame, which sees 991 samples."""

LOCAL_SPEAKERS = 3
"""People whom it tells apart in one window, of whom at most two speak at once."""

SETS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], bool)
"""[7, 3] What its seven answers say of each of them."""

MELS = 80
FEATURE_SECONDS = 0.01
FIRST_FEATURE_SECONDS = 0.0125
"""The middle of the first feature frame, of 25 ms."""

EMBEDDING_SIZE = 192


class SpeakerNetworks:
    """Both networks; may be called from any thread, and compute on the calling one."""

    def probabilities(self, window: Samples) -> NDArray[np.float32]:
        """A window of `WINDOW` samples -> [FRAMES, 7], how likely each of `SETS` is."""
        (answers,) = self._segmentation.run(None, {"samples": window[np.newaxis, np.newaxis]})
        return np.asarray(np.exp(np.asarray(answers)[0]), np.float32)

    def embedding(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features [T, MELS] of one voice -> [EMBEDDING_SIZE], of length 1."""
        centred = features - features.mean(axis=0)
        (answers,) = self._embedding.run(None, {"features": centred[np.newaxis]})
        return unit(np.asarray(answers, np.float32)[0])

    @cached_property
    def _segmentation(self) -> onnxruntime.InferenceSession:
        return open_session(SEGMENTATION_NETWORK)

    @cached_property
    def _embedding(self) -> onnxruntime.InferenceSession:
        return open_session(EMBEDDING_NETWORK)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector of length 1 in the same direction."""
    length = np.float32(max(float(np.linalg.norm(vector)), 1e-9))
    return np.asarray(vector / length, np.float32)


def mel_features(samples: Samples) -> NDArray[np.float32]:
    """Samples -> [T, MELS] logarithms of Kaldi's mel filter bank, as CAM++ was trained on; none below 25 ms."""
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.mel_opts.num_bins = MELS
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(SAMPLE_RATE, samples.tolist())
    bank.input_finished()
    frames = [bank.get_frame(at) for at in range(bank.num_frames_ready)]
    return np.array(frames, np.float32).reshape(-1, MELS)
