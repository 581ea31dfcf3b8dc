"""Exporting to ONNX: the shipped networks come out again, and hear the same words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from gpu_job.asr.batching import BatchLimits
from gpu_job.asr.nemo.model_files import BadModel
from gpu_job.asr.nemo.onnx_export import export
from gpu_job.asr.nemo.parakeet import Parakeet
from gpu_job.asr.onnx.load import load
from gpu_job.asr.onnx.model_folder import CONFIG, VOCABULARY
from gpu_job.audio.decode import decode
from gpu_job.audio.decoder_child import DecoderLimits
from gpu_job.audio.samples import SAMPLE_RATE
from infra.recordings import recording
from infra.tiny_parakeet import ONNX_PATH
from tools.tiny_parakeet.export import main


def test_a_fresh_export_hears_what_the_shipped_networks_hear(tmp_path: Path) -> None:
    main(tmp_path / "fresh")
    samples = np.concatenate(list(decode(recording("podcast.mp3").path, DecoderLimits())))
    limits = BatchLimits(16, 320 * SAMPLE_RATE)
    fresh, ours = (load(folder, "fp32", limits) for folder in (tmp_path / "fresh", ONNX_PATH))
    first, second = (each.finish(each.run(each.prepare([samples]))) for each in (fresh, ours))
    assert len(first[0]) > 50
    assert first == second
    for name in (CONFIG, VOCABULARY):
        assert (tmp_path / "fresh" / name).read_bytes() == (ONNX_PATH / name).read_bytes()
    assert {path.name for path in (tmp_path / "fresh").iterdir()} == {path.name for path in ONNX_PATH.iterdir()}


def test_a_model_with_other_durations_is_refused(parakeet: Parakeet, tmp_path: Path) -> None:
    class Other:
        cfg = OmegaConf.create({"decoding": {"durations": [0, 1, 2, 4, 8]}})

    with pytest.raises(BadModel, match="n-th duration"):
        export(Other(), tmp_path)
    assert list(tmp_path.iterdir()) == []
